package serve

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"vbankbatch/batch"
	"vbankbatch/batch/input"
	"vbankbatch/batch/ledger"
	"vbankbatch/client/say"
	"vbankbatch/report"
	"vbankbatch/report/access"
	"vbankbatch/report/queue"
)

// searchPage shows the orders in which a text was found.
type searchPage struct {
	Text  string
	Hits  []hit
	Older bool // files that were not looked through
}

// hit is an order, as the results of a file tell of it.
type hit struct {
	Merchant string
	Order    ledger.Order
	File     string
	Job      int64
	Line     string
	Status   batch.Status
	Amount   int64
}

const (
	mostHits     = 50
	searchFiles  = 200             // the newest
	searchLasts  = 3 * time.Second // then what was found so far is shown
	resultsKind  = ".results.csv"
	shortestText = 2 // characters
)

// search looks for an order number in the ledger, and for any text in the results that are kept: an order, a name, a phone, an
// account.
func (s *Server) search(v *visit) error {
	p := &searchPage{Text: strings.TrimSpace(v.r.FormValue("q"))}
	v.Title = v.T("Search")
	if len([]rune(p.Text)) < shortestText {
		return v.show("search", http.StatusOK, p)
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), searchLasts)
	defer cancel()
	for _, merchant := range v.mine() {
		if err := s.searchLedger(ctx, merchant, p); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if err := s.searchResults(ctx, v.mine(), p); err != nil && ctx.Err() == nil {
		return err
	}
	p.Older = p.Older || ctx.Err() != nil
	return v.show("search", http.StatusOK, p)
}

// searchLedger looks for an order of that number.
func (s *Server) searchLedger(ctx context.Context, merchant string, p *searchPage) error {
	book, err := s.Read(ctx, merchant, "")
	if errors.Is(err, queue.ErrNoCredentials) {
		return nil // the results tell of its orders
	}
	if err != nil || book == nil {
		return err
	}
	defer book.Close()
	hits := func(lines []ledger.Line) {
		last := lines[len(lines)-1]
		p.Hits = append(p.Hits, hit{Merchant: merchant, Order: last.Order, File: last.File, Line: strconv.FormatInt(last.Line, 10), Status: last.Status, Amount: cmp.Or(last.NowAmount, last.Amount)})
	}
	lines, err := book.History(ctx, ledger.Order{MerchantUID: p.Text})
	unknown, ok := errors.AsType[*ledger.UnknownOrderError](err)
	if !ok {
		if err == nil {
			hits(lines)
		}
		return err
	}
	for _, tier := range unknown.Tiers {
		lines, err := book.History(ctx, ledger.Order{Tier: tier, MerchantUID: p.Text})
		if err != nil {
			return err
		}
		hits(lines)
	}
	return nil
}

// searchResults looks through the results of the newest files.
func (s *Server) searchResults(ctx context.Context, merchants []string, p *searchPage) error {
	if len(merchants) == 0 {
		return nil
	}
	found, err := s.Jobs.Page(ctx, merchants, 0, searchFiles+1)
	if err != nil {
		return err
	}
	if len(found) > searchFiles {
		found, p.Older = found[:searchFiles], true
	}
	for i := range found {
		if len(p.Hits) >= mostHits {
			p.Older = true
			return nil
		}
		if stored := &found[i]; stored.Run != 0 && stored.API == s.API {
			if err := s.searchIn(ctx, stored, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// searchIn looks through the results of one file.
func (s *Server) searchIn(ctx context.Context, stored *ledger.Job, p *searchPage) error {
	in, out := io.Pipe()
	go func() { out.CloseWithError(s.Jobs.ReadFile(ctx, stored.ID, resultsKind, out)) }()
	defer in.Close()
	rows := csv.NewReader(in)
	rows.ReuseRecord, rows.FieldsPerRecord, rows.LazyQuotes = true, -1, true
	header, err := rows.Read()
	if err != nil {
		return ignoreGone(err)
	}
	header = slices.Clone(header)
	at := func(cells []string, name string) string {
		for i := len(header) - 1; i >= 0; i-- { // the results' own columns are the last
			if header[i] == name && i < len(cells) {
				return cells[i]
			}
		}
		return ""
	}
	digits := onlyDigits(p.Text)
	for len(p.Hits) < mostHits {
		cells, err := rows.Read()
		if err != nil {
			return ignoreGone(err)
		}
		if !slices.ContainsFunc(cells, func(cell string) bool {
			return strings.Contains(cell, p.Text) || len(digits) >= 4 && len(digits) == len(strings.ReplaceAll(p.Text, "-", "")) && strings.Contains(onlyDigits(cell), digits)
		}) {
			continue
		}
		order := ledger.Order{MerchantUID: at(cells, "merchant_uid")}
		if slices.ContainsFunc(p.Hits, func(h hit) bool { return h.Merchant == stored.Merchant && h.Order.MerchantUID == order.MerchantUID }) {
			continue
		}
		amount, _ := strconv.ParseInt(at(cells, "amount"), 10, 64)
		p.Hits = append(p.Hits, hit{Merchant: stored.Merchant, Order: order, File: stored.File, Job: stored.ID, Line: at(cells, "line"), Status: at(cells, "status"), Amount: amount})
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, ledger.ErrNoFile) {
		return nil
	}
	return err
}

func onlyDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// orderPage shows all that is known of one order, and what can be done about it.
type orderPage struct {
	Merchant  string
	Order     ledger.Order
	Lines     []ledger.Line
	Now       *ledger.Entry // that holds the order; nil without one
	Amount    int64
	Due       int64
	Whole     bool
	CanAsk    bool // may bring a change
	CanSettle bool
	Doubt     bool
	Contested bool // a person may say which account it has
}

func (v *visit) orderOf() ledger.Order {
	return ledger.Order{Tier: v.r.FormValue("tier"), MerchantUID: v.r.FormValue("order")}
}

func (s *Server) order(v *visit) error      { return s.showOrder(v, false) }
func (s *Server) orderWhole(v *visit) error { return s.showOrder(v, true) }

func (s *Server) showOrder(v *visit, whole bool) error {
	merchant, err := v.merchant(access.Viewer)
	if err != nil {
		return err
	}
	if whole {
		if err := v.noteOrder("show accounts", merchant, v.orderOf(), nil); err != nil {
			return err
		}
	}
	p := &orderPage{Merchant: merchant, Order: v.orderOf(), Whole: whole, CanAsk: v.Person.May(access.Uploader, merchant), CanSettle: v.Person.May(access.Approver, merchant)}
	book, err := s.Read(v.r.Context(), merchant, "")
	if err != nil || book == nil {
		return cmp.Or(err, error(errNotFound))
	}
	defer book.Close()
	p.Lines, err = book.History(v.r.Context(), p.Order)
	if _, unknown := errors.AsType[*ledger.UnknownOrderError](err); unknown {
		return errNotFound
	}
	if err != nil {
		return err
	}
	now, err := book.Orders(v.r.Context(), []ledger.Order{p.Order})
	if err != nil {
		return err
	}
	if e, ok := now[p.Order]; ok {
		p.Now = &e
		p.Amount, p.Due = report.AmountNow(&e), report.DueNow(&e)
		p.Contested = batch.IsContested(&e)
		p.Doubt = e.State == ledger.Intended || e.State == ledger.Changing
	}
	v.Title = v.T("Order %s", p.Order.MerchantUID)
	return v.show("order", http.StatusOK, p)
}

// changeOrder brings a file of one row, that changes an account or takes it back: it is checked and approved as any other.
func (s *Server) changeOrder(v *visit) error {
	merchant, err := v.merchant(access.Uploader)
	if err != nil {
		return err
	}
	what := v.r.PathValue("what")
	if what != "update" && what != "revoke" {
		return errNotFound
	}
	order := v.orderOf()
	book, err := s.Read(v.r.Context(), merchant, "")
	if err != nil || book == nil {
		return cmp.Or(err, error(errNotFound))
	}
	now, err := book.Orders(v.r.Context(), []ledger.Order{order})
	book.Close() // it was only read
	if err != nil {
		return err
	}
	e, ok := now[order]
	if !ok || e.State != ledger.Issued {
		return &refusal{http.StatusConflict, say.NewMessage("the order has no account that can be changed now"), say.NewMessage("look at its history")}
	}
	header, cells := []string{"action", "imp_uid", "tier"}, []string{what, e.ImpUID, order.Tier}
	if what == "update" {
		for _, field := range []string{"amount", "vbank_due"} {
			if text := v.text(field); text != "" {
				header, cells = append(header, field), append(cells, text)
			}
		}
		if len(header) == 3 {
			return &refusal{http.StatusUnprocessableEntity, say.NewMessage("nothing was to be changed"), say.NewMessage("write the new amount, the new due date, or both")}
		}
	} else {
		header, cells = append(header, "merchant_uid"), append(cells, order.MerchantUID)
	}
	var text bytes.Buffer
	out := csv.NewWriter(&text)
	out.Write(header)
	out.Write(cells)
	out.Flush()
	name := map[string]string{"update": say.Mark("change of %s.csv"), "revoke": say.Mark("revocation of %s.csv")}[what]
	request := s.Request // the columns are the API's own
	request.Profile = input.Profile{Rate: request.Profile.Rate, PGAPIKeys: request.Profile.PGAPIKeys}
	stored, err := s.bring(v, merchant, v.T(name, order.MerchantUID), request, &text)
	if err != nil {
		return err
	}
	return v.goOn(filePath(stored.ID, "check"))
}

// settleOrder records what a person has found out about an order that asking cannot settle.
func (s *Server) settleOrder(v *visit) error {
	merchant, err := v.merchant(access.Approver)
	if err != nil {
		return err
	}
	verdict := batch.Verdict{Order: v.orderOf(), By: v.Person.Name, Why: v.text("why"), At: s.Now()}
	switch which := v.text("which"); {
	case verdict.Why == "":
		return &refusal{http.StatusUnprocessableEntity, say.NewMessage("there is no reason"), say.NewMessage("whoever reads it in a year wants to know; write what you found out, and from whom")}
	case which == "account":
		if verdict.ImpUID = v.text("imp_uid"); verdict.ImpUID == "" {
			return &refusal{http.StatusUnprocessableEntity, say.NewMessage("the account's imp_uid is missing"), say.NewMessage("the PortOne console shows it")}
		}
	case which != "none": // which frees the order, and is never guessed
		return errStale
	}
	if err := v.noteOrder("verdict", merchant, verdict.Order, details{"imp_uid": verdict.ImpUID}); err != nil {
		return err
	}
	v.takesLong()
	err = s.Settle(v.r.Context(), merchant, verdict)
	if err != nil {
		err = errors.Join(err, v.noteOrder("verdict-refused", merchant, verdict.Order, nil))
	}
	if told := unsettled(err); told != nil {
		return told
	}
	if err != nil {
		return &refusal{http.StatusUnprocessableEntity, say.Of(err), say.NewMessage("nothing was recorded")}
	}
	return v.goOn(link("/orders/"+v.Slug(merchant), "order", verdict.Order.MerchantUID, "tier", verdict.Order.Tier))
}

// day is today in Korea.
func (s *Server) day() string { return s.Now().In(input.KST).Format(time.DateOnly) }

// settle asks the API what came of a merchant's orders in doubt. Nothing is issued.
func (s *Server) settle(v *visit) error {
	merchant, err := v.merchant(access.Approver)
	if err != nil {
		return err
	}
	if err := s.Jobs.Note(v.r.Context(), v.deed("settle", nil, details{"merchant": v.Slug(merchant)})); err != nil {
		return err
	}
	v.takesLong()
	settled, unknown, err := s.Reconcile(v.r.Context(), merchant)
	if told := unsettled(err); told != nil {
		return told
	}
	if err != nil {
		return err
	}
	v.Title = v.T("Orders in doubt")
	return v.show("settled", http.StatusOK, struct{ Settled, Unknown string }{report.Thousands(int64(settled)), report.Thousands(int64(unknown))})
}

// unsettled is what is told where this process cannot ask about orders now; nil of anything else.
func unsettled(err error) *refusal {
	switch {
	case errors.Is(err, ledger.ErrLocked):
		return &refusal{http.StatusConflict, say.NewMessage("a file of this merchant is under way, which asks about its own orders"), say.NewMessage("try again once it is over")}
	case errors.Is(err, queue.ErrNoCredentials):
		return &refusal{http.StatusConflict, say.NewMessage("this page does not have the merchant's credentials"), say.NewMessage("a run settles its orders in doubt; so does vbankbatch reconcile where the credentials are")}
	}
	return nil
}
