package serve

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/access"
	"vbankbatch/report/job"
)

// mostFiles is how many files a page lists.
const mostFiles = 30

// startPage is the first page: what is wrong, where a file can be brought, and the files so far.
type startPage struct {
	Faults    []Fault
	Merchants []string // of whom the person may bring files
	Mine      []string // of whom the person may see files
	Files     []ledger.Job
	Older     int64 // files before this one are on the next page; 0 without more
	Max       string
	InDoubt   map[string]int // orders, by merchant
}

// mine are the merchants whose files the person may see.
func (v *visit) mine() []string { return v.Person.Merchants(v.Merchants) }

func (s *Server) start(v *visit) error {
	p := &startPage{Mine: v.mine(), Max: report.Bytes(s.MaxUpload), InDoubt: make(map[string]int)}
	for _, m := range p.Mine {
		if v.Person.May(access.Uploader, m) {
			p.Merchants = append(p.Merchants, m)
		}
		if book, err := s.Read(v.r.Context(), m, ""); err == nil && book != nil {
			if n, err := book.InDoubt(v.r.Context()); err == nil && n > 0 {
				p.InDoubt[m] = n
			}
			book.Close()
		}
	}
	for _, fault := range s.faults[v.Language].now(v.r.Context(), v.Language, s.Faults) {
		if slices.Contains(p.Mine, fault.Merchant) {
			p.Faults = append(p.Faults, fault)
		}
	}
	before, _ := strconv.ParseInt(v.r.FormValue("before"), 10, 64)
	found, err := s.Jobs.Page(v.r.Context(), p.Mine, before, mostFiles+1)
	if err != nil {
		return err
	}
	if len(found) > mostFiles {
		found = found[:mostFiles]
		p.Older = found[mostFiles-1].ID
	}
	for _, f := range found {
		if f.API == s.API {
			p.Files = append(p.Files, f)
		}
	}
	v.Title = v.T("Virtual accounts")
	return v.show("start", http.StatusOK, p)
}

// faults keeps what is wrong for a while: it is asked of the API.
type faults struct {
	mu    sync.Mutex
	at    time.Time
	found []Fault
	under bool
}

const faultsKept = time.Minute

// now returns what was wrong lately, and has it looked at again if that is a while ago.
func (f *faults) now(ctx context.Context, language say.Language, look func(context.Context, say.Language) []Fault) []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if look != nil && !f.under && time.Since(f.at) > faultsKept {
		f.under = true
		go func() {
			found := look(context.WithoutCancel(ctx), language)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.found, f.at, f.under = found, time.Now(), false
		}()
	}
	return f.found
}

// upload stores a file that a browser sends, as it comes. Its merchant stands before it.
func (s *Server) upload(v *visit) error {
	http.NewResponseController(v.w).SetReadDeadline(time.Now().Add(time.Hour)) // a server that has none goes without
	v.takesLong()
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, s.MaxUpload+1<<20)
	form, err := v.r.MultipartReader()
	if err != nil {
		return errNoFile
	}
	merchant, chosen := "", false
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return errNoFile
		}
		if err != nil {
			return cutOff(err, s.MaxUpload)
		}
		switch part.FormName() {
		case "merchant":
			text, err := io.ReadAll(io.LimitReader(part, 100))
			if err != nil {
				return cutOff(err, s.MaxUpload)
			}
			v.r.SetPathValue("merchant", string(text))
			if merchant, err = v.merchant(access.Uploader); err != nil {
				return err
			}
			chosen = true
		case "file":
			if part.FileName() == "" || !chosen {
				return errNoFile
			}
			return s.store(v, merchant, part)
		}
	}
}

// cutOff is why an upload ended early.
func cutOff(err error, most int64) error {
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return &refusal{http.StatusRequestEntityTooLarge, say.Messagef("the file is larger than %s", report.Bytes(most)), say.NewMessage("split it, or ask whoever runs this page to take larger ones (--max-upload)")}
	}
	return &refusal{http.StatusBadRequest, say.NewMessage("the file did not come whole, and nothing of it was kept"), say.NewMessage("send it again")}
}

// clientError is what the browser's side is at fault for.
type clientError struct{ io.Reader }

var errCut = errors.New("the upload was cut off")

// Read marks errors as the client's.
func (r clientError) Read(into []byte) (int, error) {
	n, err := r.Reader.Read(into)
	if err != nil && !errors.Is(err, io.EOF) {
		err = errors.Join(errCut, err)
	}
	return n, err
}

// store stores what a person sends, and reads it by a form if there is one for it.
func (s *Server) store(v *visit, merchant string, part *multipart.Part) error {
	stored, err := s.bring(v, merchant, part.FileName(), s.Request, clientError{part})
	if errors.Is(err, errCut) {
		return cutOff(err, s.MaxUpload)
	}
	if err != nil {
		return err
	}
	if stored.Size > s.MaxUpload {
		return errors.Join(s.Jobs.Discard(v.r.Context(), stored.ID, v.deed("discard", stored, nil)), cutOff(&http.MaxBytesError{}, s.MaxUpload))
	}
	s.applyForm(v, stored)
	return v.goOn(filePath(stored.ID, "check"))
}

// bring stores a file that waits for approval, with what it is read and sent with.
func (s *Server) bring(v *visit, merchant, name string, request job.Request, in io.Reader) (*ledger.Job, error) {
	text, key, err := request.Text()
	if err != nil {
		return nil, err
	}
	whose, err := s.Whose(v.r.Context(), merchant)
	if err != nil {
		return nil, err
	}
	stored := &ledger.Job{Merchant: merchant, API: s.API, Whose: whose, Language: string(v.Language), File: fileLabel(name), Settings: text, Key: key, Day: s.day(), By: v.Person.Name}
	return stored, s.Jobs.Upload(v.r.Context(), stored, in, v.deed("upload", stored, nil))
}

// applyForm reads a file by the form that was saved for one with the same columns, if there is one.
func (s *Server) applyForm(v *visit, stored *ledger.Job) {
	v.r = v.r.WithContext(context.WithoutCancel(v.r.Context())) // the file is here, whether the browser waits or not
	found, err := s.lookWhole(v.r.Context(), stored)
	if err != nil || found.Plan == nil {
		return // its page says so
	}
	form, err := s.Jobs.FormOf(v.r.Context(), stored.Merchant, layoutOf(found.Plan))
	if err != nil || form == nil {
		return
	}
	if err := s.useForm(v, stored, form); err != nil {
		s.Log.Warn("a form could not be used", "error", err)
	}
}

// fileLabel is the name of a file as it is shown; nothing goes by it.
func fileLabel(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.ToValidUTF8(report.BaseName(name), ""))
	if runes := []rune(name); len(runes) > 120 {
		name = string(runes[:120])
	}
	return name
}

// filePath is the address of a page of a file.
func filePath(id int64, page string) string {
	path := "/files/" + strconv.FormatInt(id, 10)
	if page != "" {
		path += "/" + page
	}
	return path
}
