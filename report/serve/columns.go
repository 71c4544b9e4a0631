package serve

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/pg"
	"vbankbatch/client/say"
	"vbankbatch/report/access"
	"vbankbatch/report/job"
)

// asked are the fields whose column a person may choose, in the order of the page.
var asked = []string{"merchant_uid", "amount", "vbank_code", "vbank_due", "vbank_holder", "buyer_name", "buyer_tel", "buyer_email", "name"}

// columnsPage shows what each column was taken for, and asks for what is not known.
type columnsPage struct {
	Job      *ledger.Job
	Look     *look
	Refusal  string
	Hint     string
	Answers  []answerButton
	Profile  input.Profile
	Fields   []fieldChoice
	Columns  []input.Column
	Banks    []pg.Bank
	Forms    []ledger.Form
	CanEdit  bool
	FormName string
}

// answerButton answers a refusal at one press.
type answerButton struct {
	Flag, Value, Says string
}

// fieldChoice is the choice of a field's column.
type fieldChoice struct {
	Field  string
	Chosen int    // column, from 1; 0 for none
	Weak   bool   // nobody has chosen it: it was taken by its name
	Value  string // for rows that have none
}

// columns shows how the columns were read.
func (s *Server) columns(v *visit) error {
	stored, found, done, err := v.looked()
	if err != nil || done {
		return err
	}
	request, err := job.ReadRequest(stored.Settings)
	if err != nil {
		return err
	}
	p := &columnsPage{Job: stored, Look: found, Profile: request.Profile, Banks: pg.Banks(""), CanEdit: stored.State == ledger.JobUploaded && v.Person.May(access.Uploader, stored.Merchant)}
	if found.Refusal != nil {
		p.Refusal, p.Hint = v.refusal(found.Refusal)
		for _, a := range found.Answers {
			p.Answers = append(p.Answers, answerButton{a.Flag, a.Value, v.answerSays(a)})
		}
	}
	if found.Plan != nil {
		p.Columns = found.Plan.Columns
		p.Fields = fieldsOf(found.Plan.Mapping, p.Columns, request.Profile)
		if p.Forms, err = s.Jobs.Forms(v.r.Context(), stored.Merchant); err != nil {
			return err
		}
		if form, err := s.Jobs.FormOf(v.r.Context(), stored.Merchant, layoutOf(found.Plan)); err == nil && form != nil {
			p.FormName = form.Name
		}
	}
	v.Title = v.T("Columns of %s", stored.File)
	return v.show("columns", http.StatusOK, p)
}

// refusal tells why a file is refused, and what to do, but for what flags do: that is for the command line.
func (v *visit) refusal(err error) (what, hint string) {
	refused, ok := err.(*input.Error)
	if !ok {
		return v.Error(err), ""
	}
	at := ""
	if refused.Line > 0 {
		at = v.T("line %d", refused.Line) + ": "
	}
	what = at + refused.Message.In(v.Language)
	for _, field := range asked {
		if strings.Contains(field, "_") { // the API's own names say little to most people
			what = strings.ReplaceAll(what, field, v.FieldName(field))
		}
	}
	if refused.Err != nil {
		what += ": " + v.Error(refused.Err)
	}
	if hint = refused.Hint.In(v.Language); strings.Contains(hint, "--") {
		hint = ""
	}
	return what, hint
}

// answerSays says what an answer does.
func (v *visit) answerSays(a input.Answer) string {
	switch a.Flag {
	case "map":
		field, header, _ := strings.Cut(a.Value, "=")
		return v.T("“%s” is the column for: %s", header, v.FieldName(field))
	case "ignore":
		return v.T("“%s” says nothing of the others: do not look at it", a.Value)
	case "where":
		header, value, _ := strings.Cut(a.Value, "=")
		return v.T("take only the rows where “%s” is “%s”", header, value)
	case "key":
		return v.T("make the order number of these columns: %s", a.Value)
	case "items":
		if a.Value == input.ItemsSum {
			return v.T("each line of an order has its own amount: add them up")
		}
		return v.T("each line of an order repeats the order's amount: take it once")
	case "unit":
		return v.T("the amounts are counted in: %s", a.Value)
	case "totals":
		if a.Value == input.TotalsWarn {
			return v.T("totals that differ only warn")
		}
		return v.T("no line is a total")
	case "date-order":
		return v.T("the order of day, month and year is: %s", a.Value)
	case "hidden":
		if a.Value == input.HiddenSkip {
			return v.T("leave out the rows that are hidden or filtered out")
		}
		return v.T("take the rows that are hidden or filtered out too")
	}
	return v.T("take the sheet “%s”", a.Value)
}

func fieldsOf(mapping []input.Mapped, columns []input.Column, p input.Profile) (all []fieldChoice) {
	for _, field := range asked {
		choice := fieldChoice{Field: field, Value: p.Set[field]}
		for _, m := range mapping {
			if m.Field == field {
				choice.Chosen = m.Column
			}
		}
		if header, told := p.Map[field]; told {
			choice.Chosen = 1 + slices.IndexFunc(columns, func(c input.Column) bool { return c.Header == header })
		} else {
			choice.Weak = choice.Chosen > 0
		}
		all = append(all, choice)
	}
	return all
}

// setAnswer answers what a file was refused over.
func (s *Server) setAnswer(v *visit) error {
	stored, request, err := v.editable()
	if err != nil {
		return err
	}
	given := input.Answer{Flag: v.r.PostFormValue("flag"), Value: v.r.PostFormValue("value")}
	found, err := s.lookWhole(v.r.Context(), stored)
	if err != nil {
		return err
	}
	if !slices.Contains(found.Answers, given) {
		return errStale
	}
	request.Profile = request.Profile.Answered(given)
	if err := s.configure(v, stored, request, "answer"); err != nil {
		return err
	}
	return v.goOn(filePath(stored.ID, "check"))
}

// editable is a file whose settings the person may still change.
func (v *visit) editable() (*ledger.Job, *job.Request, error) {
	stored, err := v.job(access.Uploader)
	if err != nil {
		return nil, nil, err
	}
	if stored.State != ledger.JobUploaded || v.r.PostFormValue("settings") != stored.Key { // another window's choices stay
		return nil, nil, errStale
	}
	request, err := job.ReadRequest(stored.Settings)
	return stored, &request, err
}

// setColumns takes what a person has chosen.
func (s *Server) setColumns(v *visit) error {
	stored, request, err := v.editable()
	if err != nil {
		return err
	}
	found, err := s.lookWhole(v.r.Context(), stored)
	if err != nil {
		return err
	}
	if found.Plan == nil {
		return errStale
	}
	if name := v.r.PostFormValue("use"); name != "" {
		return s.useNamed(v, stored, name)
	}
	if err := s.choose(v, request, found); err != nil {
		return err
	}
	if _, err := s.Options(v.r.Context(), stored.Merchant, request, s.Now()); err != nil {
		what, hint := v.refusal(err)
		return &refusal{http.StatusUnprocessableEntity, say.Message(what), say.Message(hint)}
	}
	name := fileLabel(v.text("form"))
	if name != "" {
		request.Form, request.FormBy = name, v.Person.Name
	}
	if err := s.configure(v, stored, request, "columns"); err != nil {
		return err
	}
	if name != "" {
		text, err := json.Marshal(request.Profile)
		if err != nil {
			return err
		}
		form := &ledger.Form{Merchant: stored.Merchant, Name: name, Layout: layoutOf(found.Plan), Profile: string(text), By: v.Person.Name}
		if err := s.Jobs.SaveForm(v.r.Context(), form, v.deed("form", stored, details{"form": form.Name})); err != nil {
			return err
		}
	}
	return v.goOn(filePath(stored.ID, "check"))
}

// choose writes into the request what a person has chosen.
func (s *Server) choose(v *visit, request *job.Request, found *look) error {
	p := &request.Profile
	p.Map, p.Set = maps.Clone(p.Map), maps.Clone(p.Set)
	if p.Map == nil {
		p.Map = make(map[string]string)
	}
	if p.Set == nil {
		p.Set = make(map[string]string)
	}
	columns := found.Plan.Columns
	if v.r.PostForm.Has("ignores") {
		p.Ignore = nil
		for _, number := range v.r.PostForm["ignore"] {
			if n, err := strconv.Atoi(number); err == nil && n > 0 && n <= len(columns) {
				p.Ignore = append(p.Ignore, columns[n-1].Header)
			}
		}
	}
	for _, choice := range fieldsOf(found.Plan.Mapping, columns, *p) {
		chosen, err := strconv.Atoi(v.r.PostFormValue("column-" + choice.Field))
		if err == nil && (chosen != choice.Chosen || chosen == 0) { // what a form names may not be in this file
			switch {
			case chosen < 0 || chosen > len(columns):
				return errStale
			case chosen > 0:
				p.Map[choice.Field] = columns[chosen-1].Header
				p.Ignore = slices.DeleteFunc(slices.Clone(p.Ignore), func(header string) bool { return header == columns[chosen-1].Header })
			default:
				delete(p.Map, choice.Field)
				if choice.Chosen > 0 && choice.Weak {
					p.Ignore = append(slices.Clone(p.Ignore), columns[choice.Chosen-1].Header)
				}
			}
		}
		if value, told := v.r.PostForm["set-"+choice.Field]; told {
			if text := strings.TrimSpace(value[0]); text != "" {
				p.Set[choice.Field] = text
			} else {
				delete(p.Set, choice.Field)
			}
		}
	}
	p.Key, p.Unit, p.Items, p.Totals, p.DateOrder = v.text("key"), v.text("unit"), v.text("items"), v.text("totals"), v.text("date-order")
	p.StopAt = v.text("stop-at")
	p.Where = nil
	for _, where := range strings.Split(v.r.PostFormValue("where"), "\n") {
		if where = strings.TrimSpace(where); where != "" {
			p.Where = append(p.Where, where)
		}
	}
	return nil
}

func (v *visit) text(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }

// set gives a file other settings; they are not stored yet.
func (v *visit) set(stored *ledger.Job, request *job.Request) (err error) {
	stored.Settings, stored.Key, err = request.Text()
	stored.Language = string(v.Language)
	return err
}

// configure stores a file's settings.
func (s *Server) configure(v *visit, stored *ledger.Job, request *job.Request, what string) error {
	was := stored.Key
	if err := v.set(stored, request); err != nil {
		return err
	}
	return s.Jobs.Configure(v.r.Context(), stored, was, v.deed(what, stored, details{"settings": stored.Key}))
}

// useForm reads a file as a form says.
func (s *Server) useForm(v *visit, stored *ledger.Job, form *ledger.Form) error {
	request, err := job.ReadRequest(stored.Settings)
	if err != nil {
		return err
	}
	var kept input.Profile
	if err := json.Unmarshal([]byte(form.Profile), &kept); err != nil {
		return err
	}
	own := s.Request.Profile // what people do not choose here is not the form's
	kept.PGAPIKeys, kept.Rate, kept.Banks = own.PGAPIKeys, own.Rate, own.Banks
	set := maps.Clone(own.Set)
	if set == nil {
		set = make(map[string]string)
	}
	maps.DeleteFunc(set, func(field, _ string) bool { return slices.Contains(asked, field) })
	for _, field := range asked {
		if value := kept.Set[field]; value != "" && (field != "vbank_due" || strings.HasPrefix(value, "+")) { // a date is one month's
			set[field] = value
		}
	}
	kept.Set = set
	if hasDigit(kept.Key) { // likewise: last month's orders would have their accounts
		kept.Key = ""
	}
	request.Profile, request.Form, request.FormBy = kept, form.Name, form.By
	return s.configure(v, stored, &request, "use form")
}

// hasDigit reports whether an order number that is made of columns has a digit beside them.
func hasDigit(key string) bool {
	return strings.ContainsAny(inBraces.ReplaceAllString(key, ""), "0123456789")
}

var inBraces = regexp.MustCompile(`\{[^}]*\}`)

func (s *Server) useNamed(v *visit, stored *ledger.Job, name string) error {
	forms, err := s.Jobs.Forms(v.r.Context(), stored.Merchant)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(forms, func(f ledger.Form) bool { return f.Name == name })
	if i < 0 {
		return errStale
	}
	if err := s.useForm(v, stored, &forms[i]); err != nil {
		return err
	}
	return v.goOn(filePath(stored.ID, "check"))
}

// dropForm removes a form.
func (s *Server) dropForm(v *visit) error {
	merchant, err := v.merchant(access.Uploader)
	if err != nil {
		return err
	}
	if err := s.Jobs.DropForm(v.r.Context(), merchant, v.r.PostFormValue("use"), v.deed("drop form", nil, details{"merchant": v.Slug(merchant), "form": v.r.PostFormValue("use")})); err != nil {
		return err
	}
	return v.goOn("/")
}
