package report

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vbankbatch/client/say"
)

// replacement is a file in the making: it has a temporary name beside its own, mode 0600, until it is renamed. A run that
// dies, or a full disk, leaves what stood there before.
type replacement struct {
	path string
	file *os.File // nil for standard output, and once it is in its place or dropped
	out  *bufio.Writer
}

// newReplacement makes the temporary file of one at path.
func newReplacement(path string) (*replacement, error) {
	if err := Replaceable(path); err != nil {
		return nil, err
	}
	f := &replacement{path: path}
	temporary := temporary(filepath.Base(f.path))
	sweep(filepath.Dir(f.path), temporary, 24*time.Hour)
	file, err := os.CreateTemp(filepath.Dir(f.path), temporary+"*")
	if err != nil {
		return nil, f.named(err)
	}
	f.file, f.out = file, bufio.NewWriterSize(file, 1<<16)
	return f, nil
}

// temporary is what the temporary name of a file begins with.
func temporary(name string) string { return "." + name + "." }

// Replaceable returns an error if something stands at path that no file of a run may take the place of. A link may be
// somebody's who wants the file that it leads to written over, or the user's own, who would miss it: neither is followed
// nor replaced unasked. (One that appears later is replaced by the renaming.) At a folder's hidden names nobody but this
// program has anything to do, and whatever stands there is itself replaced.
func Replaceable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil || strings.HasPrefix(filepath.Base(path), hidden+"."):
		return nil // what is wrong with the place shows when the file is made
	case info.IsDir():
		return say.Errorf("%s is a directory", path)
	case info.Mode()&fs.ModeSymlink != 0:
		return say.Errorf("%s is a link, and nothing is written through links", path)
	case !info.Mode().IsRegular(): // a device that is renamed over is gone
		return say.Errorf("%s is not a file that can be replaced", path)
	}
	return nil
}

// named tells what failed by the file's own name, which the temporary one would hide.
func (f *replacement) named(err error) error {
	if cause := cause(err); cause != err {
		return say.Errorf("%s: %w", f.path, cause)
	}
	return err
}

// cause is an error of the file system without its path, and any other as it is.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.Err
	}
	return err
}

// seal makes the temporary file whole and durable: after it a full disk is no danger any more.
func (f *replacement) seal() error {
	if err := f.out.Flush(); err != nil || f.file == nil {
		return f.named(err)
	}
	return f.named(errors.Join(f.file.Sync(), f.file.Close()))
}

// place puts a sealed file where it belongs, in one step.
func (f *replacement) place() error {
	if f.file == nil {
		return nil
	}
	if err := os.Rename(f.file.Name(), f.path); err != nil {
		return err
	}
	f.file = nil
	return nil
}

// drop removes the temporary file. What stood at the path before is untouched.
func (f *replacement) drop() error {
	if f.file == nil {
		return nil
	}
	closing := f.file.Close()
	if errors.Is(closing, fs.ErrClosed) {
		closing = nil
	}
	err := errors.Join(closing, os.Remove(f.file.Name()))
	f.file = nil
	return err
}

// sweep removes what killed runs have left behind: half-written results, which hold people's names. One that may
// still be being written is younger than age.
func sweep(dir, prefix string, age time.Duration) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // newReplacement will say what is wrong with the directory
	}
	for _, entry := range entries {
		random, ours := strings.CutPrefix(entry.Name(), prefix)
		if !ours || strings.Trim(random, "0123456789") != "" {
			continue
		}
		if info, err := entry.Info(); err == nil && (info.IsDir() || info.Mode().IsRegular()) && time.Since(info.ModTime()) > age {
			os.RemoveAll(filepath.Join(dir, entry.Name())) // a folder is that of a workbook's own temporary files
		}
	}
}

// syncDir makes a rename in the directory durable, where the system can.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission) {
		err = nil // Windows cannot
	}
	return errors.Join(err, dir.Close())
}

// Replace writes a file whole, or not at all.
func Replace(path string, mode fs.FileMode, write func(io.Writer) error) error {
	if path == "-" {
		return say.New("- is standard output, which is for results alone; name a file")
	}
	file, err := newReplacement(path)
	if err != nil {
		return err
	}
	defer file.drop()
	if err := file.file.Chmod(mode); err != nil {
		return file.named(err)
	}
	if err := write(file.out); err != nil {
		return file.named(err)
	}
	if err := file.seal(); err != nil {
		return err
	}
	if err := file.place(); err != nil {
		return file.named(err)
	}
	return syncDir(filepath.Dir(file.path))
}
