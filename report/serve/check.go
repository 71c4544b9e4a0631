package serve

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/access"
	"vbankbatch/report/job"
)

// checkPage shows what a file asks for, and everything that is wrong with it.
type checkPage struct {
	Job      *ledger.Job
	Look     *look
	Plan     *batch.Plan // nil where the file could not be read at all
	Before   []ledger.Job
	Refusal  string
	Hint     string
	Codes    []codeCount
	Code     string // the filter
	Text     string
	List     []problem
	Found    int
	From, To int
	Prev     string
	Next     string
	Skips    []codeCount
	CanSend  bool // the person may approve it
	Own      bool // it waits for another person, see visit.own
	ToDo     int
	Notices  []string
	Question string
	Read     []string // how the file is read, beside its columns
	Form     string   // by which it is read; "" for none
	Unused   string   // a form that was saved for such a file, by which it is not read
	PGs      []codeCount
}

// read tells how the file is read, beside its columns, so that whoever approves it needs no right to change that.
func (p *checkPage) read(v *visit, stored *ledger.Job, found *look) error {
	request, err := job.ReadRequest(stored.Settings)
	if err != nil || found.Plan == nil {
		return err
	}
	of := request.Profile
	p.Form = request.Form
	for _, where := range of.Where {
		p.Read = append(p.Read, v.answerSays(input.Answer{Flag: "where", Value: where}))
	}
	for _, header := range of.Ignore {
		p.Read = append(p.Read, v.answerSays(input.Answer{Flag: "ignore", Value: header}))
	}
	for _, a := range []input.Answer{{Flag: "key", Value: of.Key}, {Flag: "items", Value: of.Items}, {Flag: "unit", Value: of.Unit}, {Flag: "totals", Value: of.Totals}, {Flag: "date-order", Value: of.DateOrder},
		{Flag: "sheet", Value: of.Sheet}, {Flag: "hidden", Value: of.Hidden}} {
		if a.Value != "" {
			p.Read = append(p.Read, v.answerSays(a))
		}
	}
	if of.StopAt != "" {
		p.Read = append(p.Read, v.T("the rows end at the line that begins with “%s”", of.StopAt))
	}
	for _, field := range slices.Sorted(maps.Keys(of.Set)) {
		value := of.Set[field]
		if field == "vbank_code" {
			value = report.BankName(value)
		}
		p.Read = append(p.Read, v.T("%s: “%s” for rows that do not say it", v.FieldName(field), value))
	}
	if len(found.Plan.PGs) > 1 || found.Plan.PGs[""] == 0 {
		p.PGs = sorted(found.Plan.PGs)
	}
	if stored.State == ledger.JobUploaded && p.Form == "" {
		form, err := v.Jobs.FormOf(v.r.Context(), stored.Merchant, layoutOf(found.Plan))
		if err != nil {
			return err
		}
		if form != nil {
			p.Unused = form.Name
		}
	}
	return nil
}

// codeCount counts the rows of a code.
type codeCount struct {
	Code string
	Rows int
}

// perPage is how many rows a page shows.
const perPage = 50

// check shows what was found out about a file that nobody has approved.
func (s *Server) check(v *visit) error {
	stored, found, done, err := v.looked()
	if err != nil || done {
		return err
	}
	p := &checkPage{Job: stored, Look: found, Plan: found.Plan, Code: v.r.FormValue("code"), Text: strings.TrimSpace(v.r.FormValue("text")),
		CanSend: v.Person.May(access.Approver, stored.Merchant)}
	if p.Own, err = v.own(stored); err != nil {
		return err
	}
	if err := p.read(v, stored, found); err != nil {
		return err
	}
	if p.Before, err = s.Jobs.Before(v.r.Context(), stored); err != nil {
		return err
	}
	if found.Refusal != nil {
		p.Refusal, p.Hint = v.refusal(found.Refusal)
	}
	if found.Plan != nil {
		p.ToDo = found.Plan.ToDo()
		p.Codes, p.Skips = sorted(found.Plan.Codes), sorted(found.Plan.Skips)
		for _, notice := range report.Notices(v.Language, found.Plan) {
			before, _, flags := strings.Cut(notice, "--") // what flags do is for the command line
			if end := strings.LastIndexAny(before, ";."); flags && end > 0 {
				notice = before[:end]
			}
			p.Notices = append(p.Notices, notice)
		}
		p.Question = v.question(stored, found)
	}
	p.page(v, found)
	v.Title = v.T("Check of %s", stored.File)
	return v.show("check", http.StatusOK, p)
}

// page takes the problems of one page.
func (p *checkPage) page(v *visit, found *look) {
	matches := found.Problems
	if p.Code != "" || p.Text != "" {
		matches = nil
		for _, problem := range found.Problems {
			if (p.Code == "" || string(problem.Code) == p.Code) && (p.Text == "" || strings.Contains(problem.Text, p.Text) || strings.Contains(problem.Header, p.Text) || strconv.Itoa(problem.Line) == p.Text) {
				matches = append(matches, problem)
			}
		}
	}
	p.Found = len(matches)
	from, _ := strconv.Atoi(v.r.FormValue("from"))
	from = min(max(from, 0), max(p.Found-1, 0)) / perPage * perPage
	to := min(from+perPage, p.Found)
	p.List, p.From, p.To = matches[from:to], min(from+1, p.Found), to
	at := func(from int) string { return link(v.Path, "code", p.Code, "text", p.Text, "from", strconv.Itoa(from)) }
	if from > 0 {
		p.Prev = at(from - perPage)
	}
	if to < p.Found {
		p.Next = at(to)
	}
}

func sorted(counts map[string]int) (all []codeCount) {
	for code, rows := range counts {
		all = append(all, codeCount{code, rows})
	}
	slices.SortFunc(all, func(a, b codeCount) int { return strings.Compare(a.Code, b.Code) })
	return all
}

// question is the sentence that is approved.
func (v *visit) question(stored *ledger.Job, found *look) string {
	plan := found.Plan
	whose := v.MerchantName(stored.Merchant)
	var parts []string
	for _, part := range []struct {
		action    input.Action
		one, many string
	}{{input.Issue, say.Mark("issue 1 account"), say.Mark("issue %s accounts")}, {input.Update, say.Mark("change 1 account"), say.Mark("change %s accounts")}, {input.Revoke, say.Mark("take back 1 account"), say.Mark("take back %s accounts")}} {
		if n := plan.Actions[part.action]; n > 0 {
			parts = append(parts, report.Count(v.Language, n, part.one, part.many))
		}
	}
	if plan.Actions[input.Issue] == 0 {
		return v.T("%s: %s", whose, strings.Join(parts, ", "))
	}
	return v.T("%s: %s, %s won to be issued in all", whose, strings.Join(parts, ", "), report.Thousands(plan.Won))
}

// problems sends all that is wrong with a file as check --format csv does.
func (s *Server) problems(v *visit) error {
	stored, err := v.job(access.Viewer)
	if err != nil {
		return err
	}
	v.takesLong()
	leave, err := s.slot(v.r.Context())
	if err != nil {
		return err
	}
	defer leave()
	plan, err := s.plan(v.r.Context(), stored)
	if err != nil {
		return err
	}
	defer plan.File.Close()
	if plan.Refusal != nil && plan.Refusal != plan.Lacking {
		return plan.Refusal
	}
	v.attach(report.Beside(report.Default(stored.File), report.ProblemsEnding), "text/csv; charset=utf-8")
	return v.sends(func(w io.Writer) error {
		out := bufio.NewWriter(w)
		io.WriteString(out, "\uFEFF")
		return errors.Join(report.Check(v.r.Context(), say.Writer{Writer: out, Language: v.Language}, plan, nil, report.CSV), out.Flush())
	})
}

// approve has a file sent: just what the page showed, and nothing that has changed since.
func (s *Server) approve(v *visit) error {
	stored, err := v.job(access.Approver)
	if err != nil {
		return err
	}
	if stored.State != ledger.JobUploaded { // a second click
		return v.goOn(filePath(stored.ID, ""))
	}
	if own, err := v.own(stored); err != nil {
		return err
	} else if own {
		return &refusal{http.StatusForbidden, say.NewMessage("another person has to approve it: neither who brought the file nor who said how it is read"), ""}
	}
	if v.r.PostFormValue("settings") != stored.Key || v.r.PostFormValue("digest") != stored.Digest {
		return errStale
	}
	found, err := s.lookWhole(v.r.Context(), stored)
	if err != nil {
		return err
	}
	if found.Plan == nil || found.Refusal != nil || found.Day != s.day() {
		return errStale
	}
	plan := found.Plan
	if v.r.PostFormValue("to-do") != strconv.Itoa(plan.ToDo()) || v.r.PostFormValue("total") != strconv.FormatInt(plan.Won, 10) || v.r.PostFormValue("due") != dues(plan) {
		return errStale
	}
	if err := typed(v, plan); err != nil {
		return err
	}
	switch {
	case plan.ToDo() == 0:
		return &refusal{http.StatusUnprocessableEntity, say.NewMessage("no row of the file is to be sent"), say.NewMessage("see on its page why")}
	case plan.Invalid > 0 && v.r.PostFormValue("leave-out") == "":
		return &refusal{http.StatusUnprocessableEntity, say.Messagef("rows that are wrong: %s", report.Thousands(int64(plan.Invalid))), say.NewMessage("mend the file and bring it again, or tick that they are to be left out")}
	case v.r.PostFormValue("sure") == "":
		return &refusal{http.StatusUnprocessableEntity, say.NewMessage("it was not confirmed"), say.NewMessage("tick the sentence that says what is sent")}
	}
	request, err := job.ReadRequest(stored.Settings)
	if err != nil {
		return err
	}
	request.Guards.ExpectRows, request.Guards.ExpectTotal, request.Digest = plan.ToDo(), plan.Won, plan.Digest()
	was := stored.Key
	if err := v.set(stored, &request); err != nil {
		return err
	}
	queued, err := s.Jobs.Approve(v.r.Context(), stored, was, v.Person.Name, found.Day,
		v.deed("approve", stored, details{"rows": plan.ToDo(), "won": plan.Won, "left_out": plan.Invalid, "settings": stored.Key}))
	if err != nil {
		return err
	}
	if queued {
		v.begin(stored)
	}
	return v.goOn(filePath(stored.ID, ""))
}

// dues are the first and the last due date of a plan: those that count from today are other ones tomorrow.
func dues(plan *batch.Plan) string { return fmt.Sprintf("%d-%d", plan.FirstDue, plan.LastDue) }

// own reports whether another person has to approve a file, since this one brought it, or decided what it says.
func (v *visit) own(stored *ledger.Job) (bool, error) {
	if !v.Two {
		return false, nil
	}
	names, err := v.Jobs.Doers(v.r.Context(), stored.ID, "answer", "columns", "use form") // which the approval's own settings are bound to
	request, wrong := job.ReadRequest(stored.Settings)
	if err := cmp.Or(err, wrong); err != nil {
		return false, err
	}
	return slices.ContainsFunc(append(names, stored.By, request.FormBy), func(name string) bool { return strings.EqualFold(name, v.Person.Name) }), nil
}

// typed holds the totals that a person knows from elsewhere against the file's.
func typed(v *visit, plan *batch.Plan) error {
	for _, total := range []struct {
		name string
		is   int64
		says string
	}{{"rows", int64(plan.ToDo()), say.Mark("the file has %s rows to be sent, and you expect %s")}, {"won", plan.Won, say.Mark("the file comes to %s won, and you expect %s")}} {
		text := strings.NewReplacer(",", "", " ", "", "원", "").Replace(v.text(total.name))
		if text == "" {
			continue
		}
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || n != total.is {
			return &refusal{http.StatusUnprocessableEntity, say.Messagef(total.says, report.Thousands(total.is), v.text(total.name)), say.NewMessage("nothing was sent; find the difference first")}
		}
	}
	return nil
}

// discard removes a file that nobody has approved.
func (s *Server) discard(v *visit) error {
	stored, err := v.job(access.Uploader)
	if err != nil {
		return err
	}
	if err := s.Jobs.Discard(v.r.Context(), stored.ID, v.deed("discard", stored, nil)); err != nil {
		return err
	}
	return v.goOn("/")
}

// changesPage shows in what a file differs from the one before it.
type changesPage struct {
	Job, Other        *ledger.Job
	New, Gone, Differ int
	Changed           []change
	NewList, GoneList []string
	Same              int
	None              bool
}

type change struct {
	Order       string
	Was, Is     int64
	WasDue, Due int64
}

// mostChanges is how many orders are listed of each kind.
const mostChanges = 100

// changes compares a file with the one that was brought before it for the same merchant.
func (s *Server) changes(v *visit) error {
	stored, err := v.job(access.Viewer)
	if err != nil {
		return err
	}
	p := &changesPage{Job: stored}
	v.Title = v.T("What is new in %s", stored.File)
	earlier, err := s.Jobs.Page(v.r.Context(), []string{stored.Merchant}, stored.ID, 20)
	if err != nil {
		return err
	}
	v.takesLong()
	leave, err := s.slot(v.r.Context())
	if err != nil {
		return err
	}
	defer leave()
	now, err := s.ordersOf(v.r.Context(), stored)
	if err != nil {
		return err
	}
	most := 0
	var was map[ledger.Order]asks
	earlier = slices.DeleteFunc(earlier, func(other ledger.Job) bool { return other.API != s.API })
	for i := range earlier[:min(5, len(earlier))] { // the one that has most orders in common
		other, err := s.ordersOf(v.r.Context(), &earlier[i])
		if err != nil {
			continue
		}
		common := 0
		for order := range other {
			if _, both := now[order]; both {
				common++
			}
		}
		if common > most {
			most, was, p.Other = common, other, &earlier[i]
		}
	}
	if p.Other == nil {
		p.None = true
		return v.show("changes", http.StatusOK, p)
	}
	for order, is := range now {
		before, both := was[order]
		switch {
		case !both:
			if p.New++; len(p.NewList) < mostChanges {
				p.NewList = append(p.NewList, order.MerchantUID)
			}
		case before != is:
			if p.Differ++; len(p.Changed) < mostChanges {
				p.Changed = append(p.Changed, change{order.MerchantUID, before.amount, is.amount, before.due, is.due})
			}
		default:
			p.Same++
		}
	}
	for order := range was {
		if _, both := now[order]; !both {
			if p.Gone++; len(p.GoneList) < mostChanges {
				p.GoneList = append(p.GoneList, order.MerchantUID)
			}
		}
	}
	slices.Sort(p.NewList)
	slices.Sort(p.GoneList)
	slices.SortFunc(p.Changed, func(a, b change) int { return strings.Compare(a.Order, b.Order) })
	return v.show("changes", http.StatusOK, p)
}

// asks is what a row asks for.
type asks struct{ amount, due int64 }

// ordersOf are the orders of a file.
func (s *Server) ordersOf(ctx context.Context, stored *ledger.Job) (map[ledger.Order]asks, error) {
	plan, err := s.plan(ctx, stored)
	if err != nil {
		return nil, err
	}
	defer plan.File.Close()
	if plan.Refusal != nil {
		return nil, plan.Refusal
	}
	all := make(map[ledger.Order]asks, plan.Rows)
	err = plan.Each(ctx, func(row *input.Row) error {
		if row.Request.MerchantUID != "" {
			all[ledger.Order{Tier: row.Tier, MerchantUID: row.Request.MerchantUID}] = asks{row.Request.Amount, row.Request.VbankDue}
		}
		return nil
	})
	return all, err
}
