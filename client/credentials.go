package client

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"vbankbatch/client/say"
)

// Credentials are what the environment holds of the merchant's secrets.
type Credentials struct {
	Key       Secret // IMP_KEY
	Secret    Secret // IMP_SECRET
	PGAPIKeys PGAPIKeys
	Places    []string // where they came from: IMP_KEY, or IMP_KEY_FILE=/etc/vbankbatch/key
}

// PGAPIKeys are the values of pg_api_key for KG Inicis.
type PGAPIKeys struct {
	Any   Secret            // IMP_PG_API_KEY: for MIDs without a key of their own; may be empty
	ByMID map[string]Secret // those that a profile tells where to find
}

// For returns the key of a MID, "" when there is none.
func (k PGAPIKeys) For(mid string) Secret { return cmp.Or(k.ByMID[mid], k.Any) }

// Find reads the keys of MIDs from where each is kept: env:NAME or file:PATH, as Environment reads it.
func (k *PGAPIKeys) Find(ctx context.Context, places map[string]string) error {
	k.ByMID = make(map[string]Secret)
	for mid, place := range places {
		kind, name, _ := strings.Cut(place, ":")
		var value string
		var err error
		switch kind {
		case "env":
			value = os.Getenv(name)
		case "file":
			value, err = readSecret(ctx, name, secretWait)
		default:
			return say.Errorf("the pg_api_key of %s must be told as env:NAME or file:PATH, not as the key itself", mid)
		}
		if err != nil {
			return say.Errorf("the pg_api_key of %s: %w", mid, err)
		}
		if value == "" {
			return say.Errorf("the pg_api_key of %s: %s is empty", mid, place)
		}
		k.ByMID[mid] = Secret(value)
	}
	return nil
}

// variables of the environment hold the merchant's secrets; those with _FILE behind their names tell of files that do.
var variables = []string{"IMP_KEY", "IMP_SECRET", "IMP_PG_API_KEY"}

// Variables names all those that must stay with this process: also where a profile says that keys of MIDs are kept.
func Variables(places map[string]string) (names []string) {
	for _, name := range variables {
		names = append(names, name, name+"_FILE")
	}
	for _, place := range places {
		if name, ok := strings.CutPrefix(place, "env:"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Environment reads the credentials from the environment: each from the variable itself, or from the file that the
// variable with _FILE behind its name tells of. A pipe has a minute to deliver it, unless ctx ends before.
func Environment(ctx context.Context) (Credentials, error) { return environment(ctx, "") }

// MerchantName is what one of several merchants may be called: it names a folder, and a variable.
var MerchantName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Named reads the credentials of one of several merchants: from the files key, secret and pg_api_key in the folder of that name in
// dir, if it is there, else from the environment as Environment does, from IMP_KEY_NAME and so on, where NAME is in capitals and has
// _ for -. What there is nothing of is empty.
func Named(ctx context.Context, dir, name string) (Credentials, error) {
	folder := filepath.Join(dir, name)
	if _, err := os.Stat(folder); dir == "" || errors.Is(err, fs.ErrNotExist) {
		return environment(ctx, "_"+strings.ReplaceAll(strings.ToUpper(name), "-", "_"))
	}
	var c Credentials
	for file, into := range map[string]*Secret{"key": &c.Key, "secret": &c.Secret, "pg_api_key": &c.PGAPIKeys.Any} {
		value, err := readSecret(ctx, filepath.Join(folder, file), secretWait)
		if err != nil && !(file == "pg_api_key" && errors.Is(err, fs.ErrNotExist)) {
			return Credentials{}, err
		}
		*into = Secret(value)
	}
	c.Places = []string{folder}
	return c, nil
}

// environment reads the variables that have suffix behind their names.
func environment(ctx context.Context, suffix string) (Credentials, error) {
	var c Credentials
	for i, into := range []*Secret{&c.Key, &c.Secret, &c.PGAPIKeys.Any} {
		name := variables[i] + suffix
		value, file := os.Getenv(name), os.Getenv(name+"_FILE")
		if value != "" && file != "" {
			return Credentials{}, say.Errorf("%s and %s_FILE are both set; one of them must go", name, name)
		}
		switch {
		case value != "":
			c.Places = append(c.Places, name)
		case file != "":
			c.Places = append(c.Places, name+"_FILE="+file)
			var err error
			if value, err = readSecret(ctx, file, secretWait); err != nil {
				return Credentials{}, say.Errorf("%s_FILE: %w", name, err)
			}
			if value == "" {
				return Credentials{}, say.Errorf("%s_FILE: %s is empty", name, file)
			}
		}
		*into = Secret(value)
	}
	return c, nil
}

// What the file of a secret may be: so many bytes, which /dev/zero exceeds, and a pipe that delivers them in time, since a
// password manager at its other end may ask for a passphrase first.
const (
	mostSecret = 64 << 10
	secretWait = time.Minute
)

// ReadSecret reads what a file holds, or a pipe delivers within a minute.
func ReadSecret(ctx context.Context, path string) (string, error) {
	return readSecret(ctx, path, secretWait)
}

// readSecret reads a secret from a file, or from a pipe such as /dev/fd/3 or a shell's <(pass show key). Nothing breaks off
// the opening of a pipe that nobody writes to: it is left to itself, since the process ends over it.
func readSecret(ctx context.Context, path string, wait time.Duration) (string, error) {
	var text []byte
	ended := make(chan error, 1)
	go func() {
		file, err := os.Open(path)
		if err == nil {
			defer file.Close() // it was only read
			text, err = io.ReadAll(io.LimitReader(file, mostSecret+1))
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		if len(text) > mostSecret {
			return "", say.Errorf("%s holds more than %d bytes; a secret is shorter", path, mostSecret)
		}
		return strings.TrimSpace(string(text)), err
	case <-time.After(wait):
		return "", say.Errorf("%s did not deliver the whole secret within %s", path, wait)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Complete returns an error when there is nothing to ask for a token with.
func (c Credentials) Complete() error {
	if c.Key == "" || c.Secret == "" {
		return say.New("IMP_KEY and IMP_SECRET are not set")
	}
	return nil
}
