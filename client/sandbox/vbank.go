package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"vbankbatch/client"
	"vbankbatch/client/pg"
)

const (
	noHash     = "hashData 불일치"
	duePast    = "[A107] 입금예정일이 지났습니다"
	failRevoke = "계좌말소"
)

// unnamed is the PG in the replies to requests that name none.
const unnamed = "settle"

// providers are the PG codes that pg may begin with; any other means the default PG.
var providers = pg.PGs()

// ownCodes are the banks of each PG with its codes for them.
var ownCodes = func() map[string][]pg.Bank {
	codes := make(map[string][]pg.Bank)
	for _, provider := range providers {
		codes[provider] = pg.Banks(provider)
	}
	return codes
}()

// banks are names by KFTC code.
var banks = func() map[string]string {
	names := make(map[string]string)
	for _, b := range pg.Banks("") {
		names[b.KFTC] = b.Name
	}
	return names
}()

// issueRequest is the body of POST /vbanks once it is found to be well-formed.
type issueRequest struct {
	client.IssueRequest
	customData     json.RawMessage
	bank           string // KFTC, three digits
	provider, pgID string // provider is "" for a default PG that nobody has named
	tier           string
}

// issue makes one more account, however many the order has: POST /vbanks.
func (s *Sandbox) issue(q *request) reply {
	r, err := s.parseIssue(q)
	if err != nil {
		return failure(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(r); err != nil {
		return failure(err)
	}
	p := s.account(r)
	if err := s.put(p); err != nil {
		return failure(err)
	}
	return reply{status: 200, payment: p}
}

func (s *Sandbox) parseIssue(q *request) (*issueRequest, error) {
	f := &q.fields
	for _, required := range []struct {
		name  string
		value scalar
	}{{"merchant_uid", f.MerchantUID}, {"amount", f.Amount}, {"vbank_code", f.VbankCode}, {"vbank_due", f.VbankDue}} {
		if required.value == "" {
			return nil, invalid(required.name + " 파라메터가 누락되었습니다.")
		}
	}
	if utf8.RuneCountInString(string(f.MerchantUID)) > 40 {
		return nil, invalid("merchant_uid는 40자를 넘을 수 없습니다.")
	}
	r := &issueRequest{customData: f.CustomData, tier: q.tier, IssueRequest: client.IssueRequest{
		MerchantUID: string(f.MerchantUID), VbankCode: string(f.VbankCode), VbankHolder: string(f.VbankHolder), Name: string(f.Name),
		BuyerName: string(f.BuyerName), BuyerEmail: string(f.BuyerEmail), BuyerTel: string(f.BuyerTel), BuyerAddr: string(f.BuyerAddr),
		BuyerPostcode: string(f.BuyerPostcode), VbankNum: string(f.VbankNum), VbankKey: string(f.VbankKey), ProductType: string(f.ProductType),
		BusinessRegistrationNumber: string(f.BusinessRegistrationNumber), EscrowPassword: string(f.EscrowPassword),
		FixedUnlimitedVbank: f.FixedUnlimitedVbank == "true", PGAPIKey: s.goodPGAPIKey(q),
	}}
	var ok bool
	if r.Amount, ok = f.Amount.whole(); !ok || r.Amount < 0 || r.Amount == 0 && !r.FixedUnlimitedVbank {
		return nil, invalid("amount는 0보다 큰 정수여야 합니다.")
	}
	if r.VbankDue, ok = f.VbankDue.whole(); !ok || r.VbankDue <= 0 {
		return nil, invalid("vbank_due는 UNIX timestamp여야 합니다.")
	}
	for _, optional := range []struct {
		name  string
		value scalar
		into  **int64
	}{{"tax_free", f.TaxFree, &r.TaxFree}, {"vat_amount", f.VatAmount, &r.VatAmount}} {
		if optional.value != "" {
			won, ok := optional.value.whole()
			if !ok || won < 0 {
				return nil, invalid(optional.name + "는 0 이상의 정수여야 합니다.")
			}
			*optional.into = &won
		}
	}
	r.provider, r.pgID = s.channel(string(f.PG), string(f.ChannelKey))
	if r.bank, ok = kftc(r.provider, r.VbankCode); !ok {
		return nil, invalid("vbank_code가 올바르지 않습니다.")
	}
	return r, nil
}

// kftc is the three-digit code for a PG's own, and at every PG for 4, 04, 004 and BK04.
func kftc(provider, code string) (string, bool) {
	if i := slices.IndexFunc(ownCodes[provider], func(b pg.Bank) bool { return b.Code == code }); i >= 0 {
		return ownCodes[provider][i].KFTC, true
	}
	code = strings.TrimPrefix(code, "BK")
	if code == "" || len(code) > 3 || strings.Trim(code, "0123456789") != "" {
		return "", false
	}
	return "000"[len(code):] + code, true
}

// channel finds the PG and its MID. Nothing that names no known PG is an error: the default PG takes it. The documents
// say so of pg, and nobody says anything else of channel_key, which has come in its place; one that is not known
// leaves the choice to pg.
func (s *Sandbox) channel(value, channelKey string) (provider, pgID string) {
	if channelKey != "" {
		for _, c := range s.config.Channels {
			if string(c.ChannelKey) == channelKey {
				return string(c.PGProvider), string(c.PGID)
			}
		}
	}
	provider, pgID, _ = strings.Cut(value, ".")
	if provider == "inicis" {
		provider = "html5_inicis"
	}
	if !slices.Contains(providers, provider) {
		provider, pgID = s.config.DefaultPG, ""
	}
	return provider, cmp.Or(pgID, mid(cmp.Or(provider, unnamed)))
}

func mid(provider string) string { return "sandbox_" + provider }

// admit is the PG's no to a well-formed request, or nil. What the PG has no use for is taken out of the request. The
// caller holds mu.
func (s *Sandbox) admit(r *issueRequest) error {
	if s.isPaid(orderName{r.tier, r.MerchantUID}) {
		return refused("이미 결제가 완료된 merchant_uid입니다.")
	}
	breaches := pg.Check(r.provider, pg.Issue, r.IssueRequest, s.config.Clock())
	if err := refusal(breaches); err != nil {
		return err
	}
	for _, b := range breaches {
		switch {
		case b.Rule == pg.Ignored:
			r.VbankHolder = ""
		case b.Rule == pg.OnlyOtherPGs && b.Field == "vbank_num":
			r.VbankNum = ""
		}
	}
	if banks[r.bank] == "" {
		return refused("가상계좌를 발급할 수 없는 은행입니다.")
	}
	return nil
}

// refusal is what a PG says to the first breach that is more than a warning: its own words where they are known, else
// what was wrong.
func refusal(breaches []pg.Breach) error {
	for _, b := range breaches {
		switch {
		case b.Warning:
		case b.Field == "pg_api_key":
			return refused(noHash)
		case b.Rule == pg.DuePast:
			return refused(duePast)
		default:
			return refused(b.Message)
		}
	}
	return nil
}

// goodPGAPIKey is the key that KG Inicis wants, if a request holds it.
func (s *Sandbox) goodPGAPIKey(q *request) client.Secret {
	key := q.query.Get("pg_api_key")
	if s.config.PGAPIKey != "" && key != s.config.PGAPIKey {
		return ""
	}
	return client.Secret(key)
}

// account is the next account. Its numbers look random, come from the count of accounts and are each used once.
// The caller holds mu.
func (s *Sandbox) account(r *issueRequest) *Payment {
	n, now := uint64(len(s.payments)+1), s.now()
	provider := cmp.Or(r.provider, unnamed)
	return &Payment{
		ImpUID:        fmt.Sprintf("imp_%012d", scatter(n, 387_420_489_731, 1e12)),
		MerchantUID:   r.MerchantUID,
		PGProvider:    provider,
		PGID:          r.pgID,
		PGTid:         fmt.Sprintf("%s-%09d", provider, n),
		VbankCode:     r.bank,
		VbankName:     banks[r.bank],
		VbankNum:      cmp.Or(r.VbankNum, fmt.Sprintf("%014d", scatter(n, 61_803_398_874_989, 1e14))),
		VbankHolder:   r.VbankHolder,
		VbankDate:     pg.Due(provider, r.VbankDue),
		VbankIssuedAt: now,
		Name:          r.Name,
		Amount:        r.Amount,
		BuyerName:     r.BuyerName,
		BuyerEmail:    r.BuyerEmail,
		BuyerTel:      r.BuyerTel,
		BuyerAddr:     r.BuyerAddr,
		BuyerPostcode: r.BuyerPostcode,
		CustomData:    customData(r.customData),
		Status:        client.StatusReady,
		StartedAt:     now,
		Sandbox:       s.config.TestChannel,
		TaxFree:       r.TaxFree != nil,
		Tier:          r.tier,
	}
}

// scatter maps 0..m-1 onto itself; step and m must have no common factor.
func scatter(n, step, m uint64) uint64 {
	high, low := bits.Mul64(n, step)
	return bits.Rem64(high, low, m)
}

// customData is the JSON that was sent as text; a string stays as it is.
func customData(raw json.RawMessage) string {
	var text string
	if len(raw) == 0 || json.Unmarshal(raw, &text) == nil { // null too
		return text
	}
	var compact bytes.Buffer
	json.Compact(&compact, raw) // raw was parsed before
	return compact.String()
}

// update changes the amount, the due date or both: PUT /vbanks/{imp_uid}.
func (s *Sandbox) update(q *request) reply {
	p, err := s.changeOf(q, func(p *Payment) error {
		amount, due := q.fields.Amount, q.fields.VbankDue
		if amount == "" && due == "" {
			return invalid("amount, vbank_due 파라메터가 누락되었습니다.")
		}
		var r client.IssueRequest
		var ok bool
		if amount != "" {
			if r.Amount, ok = amount.whole(); !ok || r.Amount <= 0 {
				return invalid("amount는 0보다 큰 정수여야 합니다.")
			}
			p.Amount = r.Amount
		}
		if due != "" {
			if r.VbankDue, ok = due.whole(); !ok || r.VbankDue <= 0 {
				return invalid("vbank_due는 UNIX timestamp여야 합니다.")
			}
			p.VbankDate = pg.Due(p.PGProvider, r.VbankDue)
		}
		if p.TaxFree {
			r.TaxFree = new(int64)
		}
		return refusal(pg.Check(p.PGProvider, pg.Update, r, s.config.Clock()))
	})
	return changed(p, err)
}

// revoke takes an account back: DELETE /vbanks/{imp_uid}.
func (s *Sandbox) revoke(q *request) reply {
	p, err := s.changeOf(q, func(p *Payment) error {
		if err := refusal(pg.Check(p.PGProvider, pg.Revoke, client.IssueRequest{PGAPIKey: s.goodPGAPIKey(q)}, s.config.Clock())); err != nil {
			return err
		}
		p.Status, p.FailedAt, p.FailReason = client.StatusFailed, s.now(), failRevoke
		return nil
	})
	return changed(p, err)
}

func changed(p *Payment, err error) reply {
	if err != nil {
		return failure(err)
	}
	return reply{status: 200, payment: p}
}

// changeOf changes the payment that a request names, if it is the tier's own.
func (s *Sandbox) changeOf(q *request, edit func(*Payment) error) (*Payment, error) {
	return s.change(q.impUID, func(p *Payment) error {
		if p.Tier != q.tier {
			return ErrNotFound
		}
		return edit(p)
	})
}

// change edits a copy of a ready payment and keeps it if edit has no objection.
func (s *Sandbox) change(impUID string, edit func(*Payment) error) (*Payment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.byImpUID[impUID]
	if !found {
		return nil, ErrNotFound
	}
	p := *s.payments[i]
	if p.Status != client.StatusReady {
		return nil, ErrNotReady
	}
	if err := edit(&p); err != nil {
		return nil, err
	}
	return &p, s.put(&p)
}
