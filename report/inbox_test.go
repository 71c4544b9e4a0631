package report

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vbankbatch/batch/input"
)

// newInbox makes an inbox of files that nobody has written to for long, and opens it.
func newInbox(t *testing.T, names ...string) *Inbox {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		put(t, filepath.Join(dir, name))
	}
	b, err := OpenInbox(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func put(t *testing.T, path string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(path, []byte(filepath.Base(path)), 0o600), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
}

// take returns the only file to be run.
func take(t *testing.T, b *Inbox) *InboxFile {
	t.Helper()
	files, _, _, err := b.Files()
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if taken, err := b.Take(t.Context(), &files[0]); !taken || err != nil {
		t.Fatal(taken, err)
	}
	return &files[0]
}

func in(t *testing.T, b *Inbox, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.dir, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}

// TestMoveCutShort stops a move after each of its steps; the next process ends it, and takes nothing else for it.
func TestMoveCutShort(t *testing.T) {
	t.Parallel()
	group := []string{"a.csv", "a.failed.csv", "a.results.csv", "a.summary.json"}
	for steps := range len(group) + 1 {
		b := newInbox(t, "a.csv", ".vbankbatch.failed.csv", ".vbankbatch.results.csv", ".vbankbatch.summary.json")
		m, err := b.Plan(take(t, b), InboxDone, time.Now())
		if err == nil {
			m.Run, m.Digest = 7, "digest"
			err = b.Begin(m, take(t, b))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range m.Renames[:steps] {
			if err := os.Rename(filepath.Join(b.dir, string(r.From)), filepath.Join(b.dir, string(r.To))); err != nil {
				t.Fatal(err)
			}
		}
		if steps == len(group) { // a new file by the old name
			put(t, filepath.Join(b.dir, "a.csv"))
			os.WriteFile(filepath.Join(b.dir, "a.csv"), []byte("another"), 0o600)
		}
		m, err = b.Interrupted()
		if err != nil || m == nil || m.Run != 7 || m.Digest != "digest" || m.Stays {
			t.Fatalf("%+v, %v", m, err)
		}
		moved, err := b.Carry(m)
		if err != nil || len(moved) != len(group)-steps {
			t.Errorf("after %d steps %q was moved, %v", steps, moved, err)
		}
		if err := b.End(); err != nil {
			t.Error(err)
		}
		if names := in(t, b, InboxDone); !slices.Equal(names, group) {
			t.Errorf("after %d steps: %q", steps, names)
		}
		left := in(t, b, ".")
		if steps == len(group) && !slices.Equal(left, []string{"a.csv"}) || steps < len(group) && left != nil {
			t.Errorf("after %d steps %q is left", steps, left)
		}
		if m, err := b.Interrupted(); m != nil || err != nil {
			t.Error(m, err)
		}
	}
}

// TestMoveBytes ends a move of names that are not UTF-8, and of one that JSON and Go write in another way.
func TestMoveBytes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"\xc1\xd6\xb9\xae.csv", "주문.csv", "a\"b\\c\td\u2028.csv"} {
		b := newInbox(t, name, ".vbankbatch.results.csv")
		file := take(t, b)
		m, err := b.Plan(file, InboxDone, time.Now())
		if err := errors.Join(err, b.Begin(m, file)); err != nil {
			t.Fatal(err)
		}
		if m, err = b.Interrupted(); err != nil {
			t.Fatal(err)
		}
		if moved, err := b.Carry(m); err != nil || !slices.Equal(moved, []string{name[:len(name)-4] + ".results.csv", name}) || string(m.Name) != name {
			t.Errorf("%q: %q was moved, %v", name, moved, err)
		}
	}
}

// TestMoveNames has every name of a file taken once; then all of its files get the time.
func TestMoveNames(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 5, 0, 30, 0, 0, time.UTC)
	for _, taken := range []string{"a.csv.gz", "a.results.csv", "a.failed.csv", "a.results.xlsx", "a.summary.json", "a.report.html"} {
		b := newInbox(t, "a.csv.gz", ".vbankbatch.results.csv")
		put(t, filepath.Join(b.dir, InboxDone, taken))
		put(t, filepath.Join(b.dir, InboxDone, "a-20261105-093000.results.csv"))
		file := take(t, b)
		m, err := b.Plan(file, InboxDone, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Begin(m, file); err != nil {
			t.Fatal(err)
		}
		moved, err := b.Carry(m)
		if want := []string{"a-20261105-093000-2.results.csv", "a-20261105-093000-2.csv.gz"}; err != nil || !slices.Equal(moved, want) {
			t.Errorf("%s: %q, %v", taken, moved, err)
		}
		if text, err := os.ReadFile(filepath.Join(b.dir, InboxDone, taken)); err != nil || string(text) != taken {
			t.Errorf("%s was written over: %q, %v", taken, text, err)
		}
	}

	// too long for what is written of it, and for a time behind it
	for _, stem := range []string{strings.Repeat("x", 251), strings.Repeat("x", 243), "xy" + strings.Repeat("가", 81), strings.Repeat("\xb0", 251)} {
		b := newInbox(t, stem+".csv", ".vbankbatch.results.csv")
		file := take(t, b)
		m, err := b.Plan(file, InboxFailed, now)
		if err := errors.Join(err, b.Begin(m, file)); err != nil {
			t.Fatal(err)
		}
		moved, err := b.Carry(m)
		if err != nil || len(moved) != 2 || !strings.HasSuffix(moved[1], "-20261105-093000.csv") || strings.HasPrefix(stem, "xy") && !strings.HasPrefix(moved[1], "xy"+strings.Repeat("가", 32)+"-") {
			t.Errorf("%q, %v", moved, err)
		}
	}

	// taken after the plan, by somebody else: an error, and nothing is lost
	b := newInbox(t, "a.csv")
	m, err := b.Plan(take(t, b), InboxDone, now)
	if err := errors.Join(err, b.Begin(m, take(t, b))); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(b.dir, InboxDone, "a.csv"))
	if _, err := b.Carry(m); err == nil {
		t.Error("a file was written over")
	}
	if names := in(t, b, "."); !slices.Contains(names, "a.csv") {
		t.Error(names)
	}
}

// TestInboxHidden puts links, folders and the rest of killed runs where a file's results are made, and files of somebody
// else beside it: the links are not followed, the files are not touched, and none of them goes with the file.
func TestInboxHidden(t *testing.T) {
	t.Parallel()
	others := []string{"a.failed.csv", "a.report.html", "a.results.csv", "a.results.xlsx", "a.summary.json"}
	b := newInbox(t, append(others, "a.csv", ".vbankbatch.results.csv", ".vbankbatch.toml", "..vbankbatch.results.csv.123", "..vbankbatch.move.45")...)
	outside := filepath.Join(t.TempDir(), "outside")
	put(t, outside)
	link := func() {
		for _, name := range []string{".vbankbatch.failed.csv", ".vbankbatch.summary.json"} {
			if err := os.Symlink(outside, filepath.Join(b.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	link()
	if err := errors.Join(os.Mkdir(filepath.Join(b.dir, ".vbankbatch.report.html"), 0o700), os.Mkdir(filepath.Join(b.dir, "..vbankbatch.results.xlsx.67"), 0o700), b.Clear()); err != nil {
		t.Fatal(err)
	}
	if names := in(t, b, "."); !slices.Equal(names, append([]string{".vbankbatch.toml", "a.csv"}, others...)) {
		t.Errorf("%q is left", names)
	}

	link() // while the file runs
	p, _ := plan(t, "testdata/orders.csv", input.Options{})
	if err := writeAll(t, b.Results(), Options{Workbook: AnyWorkbook}, p, nil, nil); err != nil { // none failed: that file is removed
		t.Fatal(err)
	}
	file := take(t, b)
	m, err := b.Plan(file, InboxDone, time.Now())
	if err := errors.Join(err, b.Begin(m, file)); err != nil {
		t.Fatal(err)
	}
	if moved, err := b.Carry(m); err != nil || !slices.Equal(moved, []string{"a.results.csv", "a.results.xlsx", "a.csv"}) {
		t.Errorf("%q was moved, %v", moved, err)
	}
	for _, path := range append(others, outside) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(b.dir, path)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != filepath.Base(path) {
			t.Errorf("%s holds %q now, %v", path, text, err)
		}
	}
}

// TestInboxFileChanges writes to a file after it was taken: it stays, and what was written of it goes.
func TestInboxFileChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"grown":    func(path string) error { return os.WriteFile(path, []byte("more than before"), 0o600) },
		"touched":  func(path string) error { return os.Chtimes(path, time.Now(), time.Now()) },
		"gone":     os.Remove,
		"replaced": func(path string) error { os.Rename(path, path+".old"); return os.Symlink(path+".old", path) },
	} {
		b := newInbox(t, "a.csv", ".vbankbatch.results.csv")
		file := take(t, b)
		if b.Changed(file) {
			t.Errorf("%s: changed before", name)
		}
		if err := change(file.Path); err != nil {
			t.Fatal(err)
		}
		m, err := b.Plan(file, InboxFailed, time.Now())
		if err := errors.Join(err, b.Begin(m, file)); err != nil {
			t.Fatal(err)
		}
		moved, err := b.Carry(m)
		if err != nil || !slices.Equal(moved, []string{"a.results.csv"}) || !m.Stays {
			t.Errorf("%s: %q, %v", name, moved, err)
		}
	}

	b := newInbox(t, "a.csv")
	file := take(t, b)
	now := time.Now()
	if err := os.Chtimes(file.Path, now, now); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if taken, err := b.Take(ctx, file); taken || !errors.Is(err, stopped) {
		t.Error(taken, err)
	}
}

// TestInterrupted refuses what no process of this program has left, and moves nothing by it.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	const rest = `"to":"done","renames":[{"from":"a.csv","to":"done/a.csv"}]}`
	for _, text := range []string{"", "null", "{}", "[]", "garbage", "{\"name\":", `{"name":"",` + rest, `{"name":"..",` + rest, `{"name":"x/a.csv",` + rest, `{"name":"/a.csv",` + rest,
		`{"name":"a.csv","to":"","renames":null}`, `{"name":"a.csv","to":"elsewhere","renames":null}`,
		`{"name":"a.csv","to":"done","renames":[{"from":"../a.csv","to":"done/a.csv"}]}`,
		`{"name":"a.csv","to":"done","renames":[{"from":"a.csv","to":"done/../a.csv"}]}`,
		`{"name":"a.csv","to":"done","renames":[{"from":"a.csv","to":"done/.."}]}`,
		`{"name":"a.csv","to":"done","renames":[{"from":"a.csv","to":"failed/a.csv"}]}`,
		`{"name":"a.csv","to":"done","renames":[{"from":"a.csv","to":"b.csv"}]}`} {
		b := newInbox(t)
		if err := os.WriteFile(filepath.Join(b.dir, moveName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := b.Interrupted(); m != nil || err == nil || !strings.Contains(err.Error(), "does not hold what this program writes to it") {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
}

// TestCheckInbox refuses what would lead this program's own files elsewhere.
func TestCheckInbox(t *testing.T) {
	t.Parallel()
	for _, name := range []string{".vbankbatch", ".vbankbatch.lock", ".vbankbatch.move"} {
		b := newInbox(t, ".vbankbatch.lock", ".vbankbatch.move")
		if err := CheckInbox(b.dir); err != nil {
			t.Error(err)
		}
		path := filepath.Join(b.dir, name)
		os.Remove(path)
		if err := os.Symlink(filepath.Join(t.TempDir(), "outside"), path); err != nil {
			t.Fatal(err)
		}
		if err := CheckInbox(b.dir); err == nil || err.Error() != path+" is not a regular file" {
			t.Errorf("a link: %v", err)
		}
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		if err := CheckInbox(b.dir); err == nil {
			t.Errorf("%s: a folder was let through", name)
		}
	}
}

// TestInboxWriter holds a file open for writing, for long without a word: it is not taken, and does not leave.
func TestInboxWriter(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("not known here")
	}
	b := newInbox(t, "a.csv", "b.csv.gz")
	files, _, _, err := b.Files()
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		file := &files[i]
		writer, err := os.OpenFile(file.Path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if taken, err := b.Take(t.Context(), file); taken || err != nil {
			t.Errorf("%s, being written: %v, %v", file.Path, taken, err)
		}
		writer.Close()
		if taken, err := b.Take(t.Context(), file); !taken || err != nil {
			t.Errorf("%s, written: %v, %v", file.Path, taken, err)
		}
		if writer, err = os.OpenFile(file.Path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
			t.Fatal(err)
		}
		m, err := b.Plan(file, InboxDone, time.Now())
		if err := errors.Join(err, b.Begin(m, file)); err != nil || !m.Stays {
			t.Errorf("%s, opened again: %+v, %v", file.Path, m, err)
		}
		writer.Close()
	}
}

// TestInboxQuiet waits for what seems to be cut off longer than for the rest, and not for ever.
func TestInboxQuiet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		wait       time.Duration
	}{
		{"a.csv", "A-1,13000\n", time.Second},
		{"a.csv", "A-1,13000\r", time.Second},
		{"a.csv", "1\x003\x00\n\x00", time.Second},
		{"a.csv", "\n", time.Second},
		{"a.CSV", "A-1,13", 58 * time.Second},
		{"a.csv", "1\x003\x00", 58 * time.Second},
		{"a.csv", "", 58 * time.Second},
		{"a.csv.GZ", "packed", time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newInbox(t, c.name)
			start := time.Now()
			path, written := filepath.Join(b.dir, c.name), start.Add(-2*time.Second)
			if err := errors.Join(os.WriteFile(path, []byte(c.text), 0o600), os.Chtimes(path, written, written)); err != nil {
				t.Fatal(err)
			}
			take(t, b)
			if waited := time.Since(start); waited != c.wait {
				t.Errorf("%s, %q: waited %v, want %v", c.name, c.text, waited, c.wait)
			}
		})
	}
}

// TestOpenInbox refuses folders that files could not be moved to.
func TestOpenInbox(t *testing.T) {
	t.Parallel()
	if _, err := OpenInbox(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	b := newInbox(t, "a.csv")
	if err := os.Symlink("a.csv", filepath.Join(b.dir, ".vbankbatch.probe")); err != nil {
		t.Fatal(err)
	}
	again, err := OpenInbox(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if text, err := os.ReadFile(filepath.Join(b.dir, "a.csv")); err != nil || string(text) != "a.csv" {
		t.Errorf("a link was followed: %q, %v", text, err)
	}
	outside := t.TempDir()
	for name, spoil := range map[string]func(path string) error{
		"file": func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"link": func(path string) error { return os.Symlink(outside, path) },
		"locked": func(path string) error {
			if os.Geteuid() == 0 {
				return os.Symlink("/dev/null", path) // root may write everywhere
			}
			return os.Mkdir(path, 0o500)
		},
	} {
		dir := t.TempDir()
		if err := spoil(filepath.Join(dir, InboxFailed)); err != nil {
			t.Fatal(err)
		}
		if b, err := OpenInbox(dir); err == nil {
			b.Close()
			t.Errorf("%s: opened", name)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 2 {
			t.Errorf("%s: something is left: %v", name, entries)
		}
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("written outside: %v", entries)
	}
}
