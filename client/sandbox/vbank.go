package sandbox

import (
	"cmp"
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

// issue makes one more account, however many the order has: POST /vbanks.
func (s *Sandbox) issue(q *request) reply {
	r, p, err := s.parseIssue(q)
	if err != nil {
		return failure(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err = s.admit(r, p); err == nil {
		s.number(p)
		err = s.put(p)
	}
	return about(p, err)
}

// parseIssue returns a well-formed request, as the rules of its PG look at it, and the account that it asks for. The
// request's PG is "" where it is a default one that nobody has named.
func (s *Sandbox) parseIssue(q *request) (client.IssueRequest, *Payment, error) {
	r, err := s.wellFormed(q)
	if err != nil {
		return r, nil, err
	}
	var pgID string
	r.PG, pgID = s.channel(q.fields["pg"], q.fields["channel_key"])
	bank, ok := kftc(r.PG, r.VbankCode)
	if !ok {
		return r, nil, invalid("vbank_code가 올바르지 않습니다.")
	}
	provider := cmp.Or(r.PG, unnamed)
	return r, &Payment{
		MerchantUID:   r.MerchantUID,
		PGProvider:    provider,
		PGID:          pgID,
		VbankCode:     bank,
		VbankName:     pg.BankName(bank),
		VbankNum:      r.VbankNum,
		VbankHolder:   r.VbankHolder,
		VbankDate:     pg.Due(provider, r.VbankDue),
		Name:          r.Name,
		Amount:        r.Amount,
		BuyerName:     r.BuyerName,
		BuyerEmail:    r.BuyerEmail,
		BuyerTel:      r.BuyerTel,
		BuyerAddr:     r.BuyerAddr,
		BuyerPostcode: r.BuyerPostcode,
		CustomData:    q.fields["custom_data"],
		Status:        client.StatusReady,
		Sandbox:       s.config.TestChannel,
		TaxFree:       r.TaxFree != nil,
		Tier:          q.tier,
	}, nil
}

// wellFormed reads what the API itself checks, before any PG.
func (s *Sandbox) wellFormed(q *request) (client.IssueRequest, error) {
	f := q.fields
	r := client.IssueRequest{
		MerchantUID: f["merchant_uid"], VbankCode: f["vbank_code"], VbankHolder: f["vbank_holder"], Name: f["name"],
		BuyerName: f["buyer_name"], BuyerEmail: f["buyer_email"], BuyerTel: f["buyer_tel"], BuyerAddr: f["buyer_addr"],
		BuyerPostcode: f["buyer_postcode"], VbankNum: f["vbank_num"], VbankKey: f["vbank_key"], ProductType: f["product_type"],
		BusinessRegistrationNumber: f["business_registration_number"], EscrowPassword: f["escrow_password"],
		FixedUnlimitedVbank: f["fixed_unlimited_vbank"] == "true", PGAPIKey: s.goodPGAPIKey(q),
	}
	for _, required := range []string{"merchant_uid", "amount", "vbank_code", "vbank_due"} {
		if f[required] == "" {
			return r, invalid(required + " 파라메터가 누락되었습니다.")
		}
	}
	if utf8.RuneCountInString(r.MerchantUID) > 40 {
		return r, invalid("merchant_uid는 40자를 넘을 수 없습니다.")
	}
	var err error
	if r.Amount, err = readAmount(f["amount"], r.FixedUnlimitedVbank); err != nil {
		return r, err
	}
	if r.VbankDue, err = readDue(f["vbank_due"]); err != nil {
		return r, err
	}
	if r.TaxFree, err = readTax(f, "tax_free"); err != nil {
		return r, err
	}
	r.VatAmount, err = readTax(f, "vat_amount")
	return r, err
}

// readTax returns the won of a field that need not be there.
func readTax(fields map[string]string, name string) (*int64, error) {
	if fields[name] == "" {
		return nil, nil
	}
	won, ok := whole(fields[name])
	if !ok || won < 0 {
		return nil, invalid(name + "는 0 이상의 정수여야 합니다.")
	}
	return &won, nil
}

// readAmount returns the won of an amount, which may be 0 for a fixed account without a limit.
func readAmount(text string, unlimited bool) (int64, error) {
	won, ok := whole(text)
	if !ok || won < 0 || won == 0 && !unlimited {
		return 0, invalid("amount는 0보다 큰 정수여야 합니다.")
	}
	return won, nil
}

// readDue returns the UNIX seconds of a vbank_due.
func readDue(text string) (int64, error) {
	due, ok := whole(text)
	if !ok || due <= 0 {
		return 0, invalid("vbank_due는 UNIX timestamp여야 합니다.")
	}
	return due, nil
}

// kftc is the three-digit code for a PG's own, and at every PG for 4, 04, 004 and BK04.
func kftc(provider, code string) (string, bool) {
	for _, b := range ownCodes[provider] {
		if b.Code == code {
			return b.KFTC, true
		}
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
	for _, c := range s.config.Channels {
		if channelKey != "" && string(c.ChannelKey) == channelKey {
			return string(c.PGProvider), string(c.PGID)
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

// admit is the PG's no to a well-formed request, or nil. What the PG has no use for is taken out of the account. The
// caller holds mu.
func (s *Sandbox) admit(r client.IssueRequest, p *Payment) error {
	paid := func(i int) bool { return s.payments[i].Status == client.StatusPaid }
	if slices.ContainsFunc(s.byOrder[orderName{p.Tier, p.MerchantUID}], paid) {
		return refused("이미 결제가 완료된 merchant_uid입니다.")
	}
	breaches := pg.Check(r.PG, pg.Issue, r, s.config.Clock())
	if err := refusal(breaches); err != nil {
		return err
	}
	for _, b := range breaches {
		switch {
		case b.Rule == pg.Ignored:
			p.VbankHolder = ""
		case b.Rule == pg.OnlyOtherPGs && b.Field == "vbank_num":
			p.VbankNum = ""
		}
	}
	if p.VbankName == "" {
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
			return refused(b.Message.String())
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

// number gives the next account its numbers, which look random, come from the count of accounts and are each used once.
// The caller holds mu.
func (s *Sandbox) number(p *Payment) {
	n := uint64(len(s.payments) + 1)
	p.ImpUID = fmt.Sprintf("imp_%012d", scatter(n, 387_420_489_731, 1e12))
	p.PGTid = fmt.Sprintf("%s-%09d", p.PGProvider, n)
	p.VbankNum = cmp.Or(p.VbankNum, fmt.Sprintf("%014d", scatter(n, 61_803_398_874_989, 1e14)))
	p.VbankIssuedAt = s.now()
	p.StartedAt = p.VbankIssuedAt
}

// scatter maps 0..m-1 onto itself; step and m must have no common factor.
func scatter(n, step, m uint64) uint64 {
	high, low := bits.Mul64(n, step)
	return bits.Rem64(high, low, m)
}

// update changes the amount, the due date or both: PUT /vbanks/{imp_uid}.
func (s *Sandbox) update(q *request) reply {
	amount, due := q.fields["amount"], q.fields["vbank_due"]
	return s.changeOf(q, func(p *Payment) (err error) {
		if amount == "" && due == "" {
			return invalid("amount, vbank_due 파라메터가 누락되었습니다.")
		}
		var r client.IssueRequest
		if amount != "" {
			if r.Amount, err = readAmount(amount, false); err != nil {
				return err
			}
			p.Amount = r.Amount
		}
		if due != "" {
			if r.VbankDue, err = readDue(due); err != nil {
				return err
			}
			p.VbankDate = pg.Due(p.PGProvider, r.VbankDue)
		}
		if p.TaxFree {
			r.TaxFree = new(int64)
		}
		return refusal(pg.Check(p.PGProvider, pg.Update, r, s.config.Clock()))
	})
}

// revoke takes an account back: DELETE /vbanks/{imp_uid}.
func (s *Sandbox) revoke(q *request) reply {
	return s.changeOf(q, func(p *Payment) error {
		p.Status, p.FailedAt, p.FailReason = client.StatusFailed, s.now(), failRevoke
		return refusal(pg.Check(p.PGProvider, pg.Revoke, client.IssueRequest{PGAPIKey: s.goodPGAPIKey(q)}, s.config.Clock()))
	})
}

// changeOf changes the payment that a request names, if it is the tier's own.
func (s *Sandbox) changeOf(q *request, edit func(*Payment) error) reply {
	return about(s.change(q.impUID, func(p *Payment) error {
		if p.Tier != q.tier {
			return ErrNotFound
		}
		return edit(p)
	}))
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
