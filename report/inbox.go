package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"vbankbatch/batch/input"
	"vbankbatch/client/say"
)

// Inbox is a folder of files to be run. Those that were run are moved to its folders done and failed, with what was
// written of them. It is for one process at a time; the caller sees to that.
//
// What is written of a file is made under hidden names of the folder, which are this program's alone: whatever stands
// beside the file under the names that a run of it alone would write is somebody else's, and is neither read nor touched.
//
// A file leaves by a [Move], which is on the disk before the first name changes: a process that dies in between leaves
// it to the next one.
type Inbox struct {
	dir  string
	root *os.Root // so that no symbolic link leads out
}

// Where the files go.
const (
	InboxDone   = "done"   // every row
	InboxFailed = "failed" // some rows, or the file, were not done
)

// hidden is what the names in an inbox begin with that are this program's alone. Links that somebody has put there are
// never followed.
const hidden = ".vbankbatch"

// InboxLock is the name that ledger.LockBeside takes for a folder's own lock.
const InboxLock = hidden

// moveName is the file of the move under way, in the inbox.
const moveName = hidden + ".move"

// hiddenResults is where the results of the file under way are made; what else is written of it stands beside them.
const hiddenResults = hidden + resultsEnding

// How long nobody must have written to a file for it to be taken. One that does not end with a line's end may have been
// cut off in the middle of an amount; but many exports have none.
const (
	inboxQuiet   = 3 * time.Second
	inboxUnended = time.Minute
)

// InboxFile is one of its files.
type InboxFile struct {
	Path string
	info fs.FileInfo // when it was taken
}

// Why a file is left in an inbox.
var (
	LeftOurs      = say.Mark("left: %s is written by this program; to have it run give it another name")
	LeftOther     = say.Mark("left: %s is neither .csv nor .xlsx")
	LeftIrregular = say.Mark("left: %s is not a regular file, and links are not followed")
	LeftWriting   = say.Mark("left: %s is still being written, or gone; the next run looks again")
	LeftChanged   = say.Mark("left: %s was written to, replaced or taken away while it ran; rows that were added to it are not done, and the next run takes it")
)

// CheckInbox refuses a folder in which a link, a folder or the like stands for one of the files that this program leaves
// in it. It comes before the folder's lock, which a link would have taken elsewhere.
func CheckInbox(dir string) error {
	for _, name := range []string{InboxLock, InboxLock + ".lock", moveName} {
		path := filepath.Join(dir, name)
		if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
			return say.Errorf("%s is not a regular file", path)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// OpenInbox makes the folders that files are moved to, and sees that they can be. The caller closes the inbox.
func OpenInbox(dir string) (*Inbox, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	b := &Inbox{dir: dir, root: root}
	for _, to := range []string{InboxDone, InboxFailed} {
		if err := b.prepare(to); err != nil {
			return nil, errors.Join(say.Errorf("files cannot be moved to %s: %w", filepath.Join(dir, to), cause(err)), root.Close())
		}
	}
	return b, nil
}

// LookInbox lists the files of a folder as [Inbox.Files] does, and makes nothing there.
func LookInbox(dir string) (files []InboxFile, left map[string]string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	b := &Inbox{dir: dir, root: root}
	defer b.Close()
	files, left, _, err = b.Files()
	return files, left, err
}

// prepare makes a folder and moves a file there, which also a folder on another file system would refuse.
func (b *Inbox) prepare(to string) error {
	if err := b.root.Mkdir(to, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := b.root.Lstat(to); err != nil {
		return err
	} else if !info.IsDir() {
		return say.New("it is not a folder")
	}
	const probe = hidden + ".probe"
	b.root.Remove(probe) // a killed process's, or a link that would be followed; what cannot be removed is met below
	file, err := b.root.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := b.root.Rename(probe, filepath.Join(to, probe)); err != nil {
		b.root.Remove(probe) // it is empty, and the first error says what is wrong
		return err
	}
	return b.root.Remove(filepath.Join(to, probe))
}

// Close lets go of the folder.
func (b *Inbox) Close() error { return b.root.Close() }

// Files lists the files to be run, the oldest first, then by name: *.csv and *.csv.gz, but not what runs write beside
// them. Hidden files and folders are passed over; left has a sentence for every other file. Of them, those in never will
// not be run on any other night either, and whoever put them there may believe that they were. (What has just been written
// may be an upload that gets its own name later.)
func (b *Inbox) Files() (files []InboxFile, left map[string]string, never []string, err error) {
	entries, err := fs.ReadDir(b.root.FS(), ".")
	if err != nil {
		return nil, nil, nil, err
	}
	left = make(map[string]string)
	for _, entry := range entries {
		name := entry.Name()
		lower := strings.ToLower(name)
		table := slices.Contains([]string{".csv", ".xlsx", ".xlsm"}, filepath.Ext(strings.TrimSuffix(lower, ".gz")))
		switch {
		case strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~$") /* Excel's mark of an open file */ || entry.IsDir():
		case isBeside(strings.TrimSuffix(lower, ".gz")):
			left[name] = LeftOurs
			if table {
				never = append(never, name)
			}
		case !table:
			left[name] = LeftOther
			if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) >= inboxUnended {
				never = append(never, name)
			}
		case !entry.Type().IsRegular():
			left[name] = LeftIrregular
			never = append(never, name)
		default:
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has just been taken away
			} else if err != nil {
				return nil, nil, nil, err
			}
			files = append(files, InboxFile{filepath.Join(b.dir, name), info})
		}
	}
	slices.SortStableFunc(files, func(x, y InboxFile) int { return x.info.ModTime().Compare(y.info.ModTime()) })
	return files, left, never, nil
}

// isBeside reports whether a name is one of the files that runs write beside their input, whose name without its ending they
// bear.
func isBeside(name string) bool {
	endings := []string{resultsEnding, resultsWorkbook, SummaryEnding, PageEnding, MaskedEnding, ProblemsEnding, ReasonEnding}
	return isFailed(name) || slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(name, ending) })
}

// Of a file that was refused: what check finds in it, and the error and the hint in words.
const (
	ProblemsEnding = ".problems.csv"
	ReasonEnding   = ".reason.txt"
)

// hiddenFiles are the names of all that may be written of the file under way.
func hiddenFiles() []string {
	return append(Paths(hiddenResults, Options{Workbook: AnyWorkbook}), Beside(hiddenResults, SummaryEnding), Beside(hiddenResults, PageEnding),
		Beside(hiddenResults, ProblemsEnding), Beside(hiddenResults, ReasonEnding))
}

// Results is the path for the results of the file under way. They stay there until the file is moved, and those of a file
// that was stopped until the next file's take their place.
func (b *Inbox) Results() string { return filepath.Join(b.dir, hiddenResults) }

// Clear removes what earlier processes have written of a file that they did not move, whole and half: it is written
// again, from the ledger. A move must not be under way.
func (b *Inbox) Clear() error {
	for _, name := range hiddenFiles() {
		if err := b.root.RemoveAll(name); err != nil {
			return say.Errorf("%s cannot be removed: %w", filepath.Join(b.dir, name), cause(err))
		}
		sweep(b.dir, temporary(name), 0)
	}
	sweep(b.dir, temporary(moveName), 0)
	return nil
}

// Take waits until nobody has written to the file for some seconds, or for a minute where it seems to be cut off, and
// reports whether it can be run; another run of the inbox will take what is still being written. Its error is the cause
// of ctx.
func (b *Inbox) Take(ctx context.Context, file *InboxFile) (bool, error) {
	name := filepath.Base(file.Path)
	info, err := b.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil // it is gone, or another
	}
	file.info = info
	if b.Changed(file) {
		return false, nil
	}
	quiet := b.quiet(file)
	if age := time.Since(info.ModTime()); age < quiet {
		select {
		case <-time.After(min(quiet-age, quiet)):
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	return !b.Changed(file), nil
}

// quiet is how long nobody must have written to the file.
func (b *Inbox) quiet(file *InboxFile) time.Duration {
	if strings.EqualFold(filepath.Ext(file.Path), ".gz") {
		return inboxQuiet // its own end tells whether it is whole
	}
	f, err := b.root.Open(filepath.Base(file.Path))
	if err != nil {
		return inboxQuiet // the run will say what is wrong
	}
	defer f.Close()
	var end [2]byte
	n, _ := f.ReadAt(end[:], max(file.info.Size()-int64(len(end)), 0))
	if text := strings.TrimSuffix(string(end[:n]), "\x00"); /* UTF-16 */ strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\r") {
		return inboxQuiet
	}
	return inboxUnended
}

// Changed reports whether somebody has written to the file, replaced it or taken it away since Take, or is about to write
// to it.
func (b *Inbox) Changed(file *InboxFile) bool {
	name := filepath.Base(file.Path)
	info, err := b.root.Lstat(name)
	if err != nil || !os.SameFile(info, file.info) || info.Size() != file.info.Size() || !info.ModTime().Equal(file.info.ModTime()) {
		return true
	}
	f, err := b.root.Open(name)
	if err != nil {
		return false // the run will say what is wrong
	}
	defer f.Close()
	return hasWriter(f)
}

// Move is how a file that was run leaves the inbox, with what was written of it.
type Move struct {
	Digest  string    `json:"sha256"`             // of the file's bytes
	Whose   string    `json:"merchant,omitempty"` // the ledger's name of the merchant whose orders they are; "" by earlier versions
	Run     int64     `json:"run"`                // in the ledger, to be finished there first; 0 without one
	Exit    int       `json:"exit_status"`
	Summary string    `json:"summary"` // for whom is to be told of the run's end
	Name    raw       `json:"name"`    // the input's, in the inbox
	To      string    `json:"to"`      // InboxDone or InboxFailed
	Stays   bool      `json:"stays"`   // the input itself: somebody has written to it since
	Renames []renamed `json:"renames"`

	from, stem string // what the input's name begins with here, and all names there
}

// renamed is a file that gets another name.
type renamed struct {
	From raw   `json:"from"`
	To   raw   `json:"to"`
	Size int64 `json:"size"`
	Time int64 `json:"modified"` // UNIX seconds
}

// raw is a file's name, whose bytes may be those of CP949: JSON's strings would lose them.
type raw string

func (r raw) MarshalText() ([]byte, error) {
	quoted := strconv.Quote(string(r))
	return []byte(quoted[1 : len(quoted)-1]), nil
}

func (r *raw) UnmarshalText(text []byte) error {
	name, err := strconv.Unquote(`"` + string(text) + `"`)
	*r = raw(name)
	return err
}

// longStem is how many bytes of a stem are kept where a time comes behind it: no file system takes names of any length.
const longStem = 100

// Plan decides where a file goes. Where one of the names is taken, or too long, all of them get the time behind the stem,
// or behind the beginning of a long one.
func (b *Inbox) Plan(file *InboxFile, to string, now time.Time) (*Move, error) {
	name := filepath.Base(file.Path)
	m := &Move{Name: raw(name), To: to, from: stem(name), stem: stem(name)}
	for n := 1; ; n++ {
		taken, err := b.taken(m, append(hiddenFiles(), name))
		if err != nil || !taken {
			return m, err
		}
		m.stem = shortened(m.from, longStem) + now.In(input.KST).Format("-20060102-150405")
		if n > 1 {
			m.stem += fmt.Sprintf("-%d", n)
		}
	}
}

func (b *Inbox) taken(m *Move, names []string) (bool, error) {
	for _, name := range names {
		if _, err := b.root.Lstat(m.there(name)); err == nil || errors.Is(err, syscall.ENAMETOOLONG) {
			return true, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}

// shortened is the beginning of a name, of at most so many bytes, with no character cut in half.
func shortened(name string, most int) string {
	if len(name) <= most {
		return name
	}
	for end := most; end > most-utf8.UTFMax; end-- {
		if utf8.RuneStart(name[end]) {
			return name[:end]
		}
	}
	return name[:most] // it is no UTF-8
}

// there is where the input, or what was written of it under a hidden name, goes in the inbox.
func (m *Move) there(name string) string {
	from := hidden
	if name == string(m.Name) {
		from = m.from
	}
	return filepath.Join(m.To, m.stem+strings.TrimPrefix(name, from))
}

// At tells where a file of the run, named by its path in the inbox, is going to be.
func (b *Inbox) At(m *Move, path string) string {
	if path == "" {
		return ""
	}
	return filepath.Join(b.dir, m.there(filepath.Base(path)))
}

// Failed is where a file of an inbox would go if it failed.
func Failed(path string) string {
	return filepath.Join(filepath.Dir(path), InboxFailed, filepath.Base(path))
}

// Folder is the path of the folder that the move goes to.
func (b *Inbox) Folder(m *Move) string { return filepath.Join(b.dir, m.To) }

// Begin puts the move on the disk: from now on it will happen, now or in the next process. A file that somebody has
// written to since Take stays; what was written of it goes.
func (b *Inbox) Begin(m *Move, file *InboxFile) error {
	names := hiddenFiles()
	if m.Stays = b.Changed(file); !m.Stays {
		names = append(names, string(m.Name)) // the last, so that whoever sees it in its place sees all
	}
	for _, name := range names {
		info, err := b.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		} else if err != nil {
			return err
		}
		m.Renames = append(m.Renames, renamed{raw(name), raw(m.there(name)), info.Size(), info.ModTime().Unix()})
	}
	return Replace(filepath.Join(b.dir, moveName), 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(m) })
}

// Interrupted returns the move that a process left unfinished, nil without one.
func (b *Inbox) Interrupted() (*Move, error) {
	text, err := b.root.ReadFile(moveName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	m := new(Move)
	if err := json.Unmarshal(text, m); err != nil || !m.valid() {
		return nil, say.Errorf("%s does not hold what this program writes to it", filepath.Join(b.dir, moveName))
	}
	return m, nil
}

// valid reports whether the move is one that Begin could have written: from the inbox to one of its folders.
func (m *Move) valid() bool {
	plain := func(name string) bool { return filepath.IsLocal(name) && name != "." && filepath.Base(name) == name }
	for _, r := range m.Renames {
		if name := filepath.Base(string(r.To)); !plain(string(r.From)) || !plain(name) || string(r.To) != filepath.Join(m.To, name) {
			return false
		}
	}
	return plain(string(m.Name)) && (m.To == InboxDone || m.To == InboxFailed)
}

// Carry moves the files, those that an earlier process has not moved, and makes that durable. A file that came later
// under one of the names is another one, and stays.
func (b *Inbox) Carry(m *Move) (moved []string, err error) {
	for _, r := range m.Renames {
		from, to := string(r.From), string(r.To)
		info, err := b.root.Lstat(from)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() != r.Size || info.ModTime().Unix() != r.Time) {
			continue
		} else if err != nil {
			return nil, err
		}
		if _, err := b.root.Lstat(to); err == nil {
			return nil, say.Errorf("%s exists already, and is not written over", say.Name(filepath.Join(b.dir, to)))
		}
		if err := b.root.Rename(from, to); err != nil {
			return nil, say.Errorf("%s cannot be moved to %s: %w", say.Name(filepath.Join(b.dir, from)), say.Name(filepath.Join(b.dir, to)), cause(err))
		}
		moved = append(moved, filepath.Base(to))
	}
	return moved, errors.Join(syncDir(b.Folder(m)), syncDir(b.dir))
}

// End forgets a move that was carried out.
func (b *Inbox) End() error {
	if err := b.root.Remove(moveName); err != nil {
		return err
	}
	return syncDir(b.dir)
}
