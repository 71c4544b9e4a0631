package client

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Credentials are what the environment holds of the merchant's secrets.
type Credentials struct {
	Key      Secret // IMP_KEY
	Secret   Secret // IMP_SECRET
	PGAPIKey Secret // IMP_PG_API_KEY, for KG Inicis; may be empty
}

// ErrNoCredentials is returned by Complete when the key or the secret is missing.
var ErrNoCredentials = errors.New("IMP_KEY and IMP_SECRET are not set")

// Environment reads the credentials from the environment: each from the variable itself, or from the file that the
// variable with _FILE behind its name tells of.
func Environment() (Credentials, error) {
	var c Credentials
	for name, into := range map[string]*Secret{"IMP_KEY": &c.Key, "IMP_SECRET": &c.Secret, "IMP_PG_API_KEY": &c.PGAPIKey} {
		value, file := os.Getenv(name), os.Getenv(name+"_FILE")
		if value != "" && file != "" {
			return Credentials{}, fmt.Errorf("%s and %s_FILE are both set; one of them must go", name, name)
		}
		if file != "" {
			text, err := os.ReadFile(file)
			if err != nil {
				return Credentials{}, fmt.Errorf("%s_FILE: %w", name, err)
			}
			if value = strings.TrimSpace(string(text)); value == "" {
				return Credentials{}, fmt.Errorf("%s_FILE: %s is empty", name, file)
			}
		}
		*into = Secret(value)
	}
	return c, nil
}

// Complete returns ErrNoCredentials when there is nothing to ask for a token with.
func (c Credentials) Complete() error {
	if c.Key == "" || c.Secret == "" {
		return ErrNoCredentials
	}
	return nil
}
