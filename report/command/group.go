package command

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"vbankbatch/client/say"
	"vbankbatch/report"
)

// gid is the number of the group that is to read the results.
func (f *outputFlags) gid() (int, error) {
	if runtime.GOOS == "windows" {
		return 0, usage("give the folder the rights that its files are to have", "--group is for Unix")
	}
	number := f.Group
	if found, err := user.LookupGroup(f.Group); err == nil {
		number = found.Gid
	}
	gid, err := strconv.Atoi(number)
	if err != nil {
		return 0, usage("getent group lists them", "--group: there is no group %q", f.Group)
	}
	groups, _ := os.Getgroups() // without them only the first is known
	if os.Geteuid() != 0 && !slices.Contains(append(groups, os.Getegid()), gid) {
		return 0, usage("usermod -aG adds a user to a group; it holds from the next login on", "--group: the user %s is not in the group %s", me(), f.Group)
	}
	return gid, nil
}

// shareResults lets the group that is asked for read results, and what stands beside them. The metrics are for everybody.
func (f *outputFlags) shareResults(out string) error {
	if out == "" {
		return nil // there are none
	}
	return f.share(slices.DeleteFunc(f.paths(out), func(path string) bool { return path == f.Metrics })...)
}

// share lets the group that is asked for read files and folders.
func (f *outputFlags) share(paths ...string) error {
	if f.Group == "" {
		return nil
	}
	gid, err := f.gid()
	for _, path := range paths {
		if err == nil && path != "" && path != "-" {
			if err = report.Share(path, gid); err != nil {
				err = &failure{say.Errorf("the group %s cannot be let read %s: %w", f.Group, say.Name(filepath.Clean(path)), err), exitStopped, ""}
			}
		}
	}
	return err
}
