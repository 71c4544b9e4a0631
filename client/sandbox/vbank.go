package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"vbankbatch/client"
)

const (
	inicis     = "html5_inicis"
	noHash     = "hashData 불일치"
	duePast    = "[A107] 입금예정일이 지났습니다"
	failRevoke = "계좌말소"
)

// providers are the PG codes that pg may begin with; any other means the default PG.
var providers = []string{"settle", "nice", "nice_v2", inicis, "ksnet", "smartro", "smartro_v2", "tosspayments",
	"welcome", "kcp", "uplus", "kicc", "jtnet", "danal", "daou"}

// ignoreHolder are the PGs whose accounts are in the merchant's own name.
var ignoreHolder = []string{"tosspayments", "ksnet", "welcome"}

// banks are names by KFTC code.
var banks = map[string]string{
	"002": "산업은행", "003": "기업은행", "004": "국민은행", "005": "외환은행", "007": "수협은행", "011": "농협은행",
	"012": "지역농축협", "020": "우리은행", "023": "SC제일은행", "027": "한국씨티은행", "031": "iM뱅크", "032": "부산은행",
	"034": "광주은행", "035": "제주은행", "037": "전북은행", "039": "경남은행", "045": "새마을금고", "048": "신협",
	"050": "저축은행", "054": "HSBC은행", "064": "산림조합", "071": "우체국", "081": "하나은행", "088": "신한은행",
	"089": "케이뱅크", "090": "카카오뱅크", "092": "토스뱅크",
}

// issueRequest is the body of POST /vbanks once it is found to be well-formed.
type issueRequest struct {
	fields
	amount, due    int64  // won, UNIX seconds
	vbankCode      string // three digits
	provider, pgID string
	pgAPIKey       string
}

// issue makes one more account, however many the order has: POST /vbanks.
func (s *Sandbox) issue(q *request) reply {
	r, err := s.parseIssue(q)
	if err != nil {
		return failure(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if message := s.refusal(r); message != "" {
		return failure(refused(message))
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
	r := &issueRequest{fields: *f, pgAPIKey: q.query.Get("pg_api_key")}
	var ok bool
	if r.amount, ok = f.Amount.whole(); !ok || r.amount <= 0 {
		return nil, invalid("amount는 0보다 큰 정수여야 합니다.")
	}
	if r.due, ok = f.VbankDue.whole(); !ok || r.due <= 0 {
		return nil, invalid("vbank_due는 UNIX timestamp여야 합니다.")
	}
	if r.vbankCode, ok = kftc(string(f.VbankCode)); !ok {
		return nil, invalid("vbank_code가 올바르지 않습니다.")
	}
	r.provider, r.pgID = s.channel(string(f.PG), string(f.ChannelKey))
	return r, nil
}

// kftc is the three-digit code for 4, 04, 004 and BK04.
func kftc(code string) (string, bool) {
	code = strings.TrimPrefix(code, "BK")
	if code == "" || len(code) > 3 || strings.Trim(code, "0123456789") != "" {
		return "", false
	}
	return "000"[len(code):] + code, true
}

// channel finds the PG and its MID. Nothing that names no known PG is an error: the default PG takes it.
func (s *Sandbox) channel(pg, channelKey string) (provider, pgID string) {
	if channelKey != "" {
		for _, c := range s.config.Channels {
			if string(c.ChannelKey) == channelKey {
				return string(c.PGProvider), string(c.PGID)
			}
		}
	}
	provider, pgID, _ = strings.Cut(pg, ".")
	if provider == "inicis" {
		provider = inicis
	}
	if !slices.Contains(providers, provider) {
		provider, pgID = s.config.DefaultPG, ""
	}
	if pgID == "" {
		pgID = mid(provider)
	}
	return provider, pgID
}

func mid(provider string) string { return "sandbox_" + provider }

// refusal is the PG's no to a well-formed request, in its own words, or "". The caller holds mu.
func (s *Sandbox) refusal(r *issueRequest) (message string) {
	switch {
	case s.isPaid(string(r.MerchantUID)):
		return "이미 결제가 완료된 merchant_uid입니다."
	case r.provider == inicis && !s.goodPGAPIKey(r.pgAPIKey):
		return noHash
	case r.due <= s.now():
		return duePast
	case banks[r.vbankCode] == "":
		return "가상계좌를 발급할 수 없는 은행입니다."
	}
	return ""
}

func (s *Sandbox) goodPGAPIKey(key string) bool {
	return key != "" && (s.config.PGAPIKey == "" || key == s.config.PGAPIKey)
}

// account is the next account. Its numbers look random, come from the count of accounts and are each used once.
// The caller holds mu.
func (s *Sandbox) account(r *issueRequest) *Payment {
	n, now := uint64(len(s.payments)+1), s.now()
	p := &Payment{
		ImpUID:        fmt.Sprintf("imp_%012d", scatter(n, 387_420_489_731, 1e12)),
		MerchantUID:   string(r.MerchantUID),
		PGProvider:    r.provider,
		PGID:          r.pgID,
		PGTid:         fmt.Sprintf("%s-%09d", r.provider, n),
		VbankCode:     r.vbankCode,
		VbankName:     banks[r.vbankCode],
		VbankNum:      fmt.Sprintf("%014d", scatter(n, 61_803_398_874_989, 1e14)),
		VbankHolder:   string(r.VbankHolder),
		VbankDate:     r.due,
		VbankIssuedAt: now,
		Name:          string(r.Name),
		Amount:        r.amount,
		BuyerName:     string(r.BuyerName),
		BuyerEmail:    string(r.BuyerEmail),
		BuyerTel:      string(r.BuyerTel),
		BuyerAddr:     string(r.BuyerAddr),
		BuyerPostcode: string(r.BuyerPostcode),
		CustomData:    customData(r.CustomData),
		Status:        client.StatusReady,
		StartedAt:     now,
		Sandbox:       s.config.TestChannel,
	}
	if slices.Contains(ignoreHolder, r.provider) {
		p.VbankHolder = ""
	}
	return p
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
	p, err := s.change(q.impUID, func(p *Payment) error {
		amount, due := q.fields.Amount, q.fields.VbankDue
		if amount == "" && due == "" {
			return invalid("amount, vbank_due 파라메터가 누락되었습니다.")
		}
		var ok bool
		if amount != "" {
			if p.Amount, ok = amount.whole(); !ok || p.Amount <= 0 {
				return invalid("amount는 0보다 큰 정수여야 합니다.")
			}
		}
		if due != "" {
			if p.VbankDate, ok = due.whole(); !ok || p.VbankDate <= 0 {
				return invalid("vbank_due는 UNIX timestamp여야 합니다.")
			}
			if p.VbankDate <= s.now() {
				return refused(duePast)
			}
		}
		return nil
	})
	return changed(p, err)
}

// revoke takes an account back: DELETE /vbanks/{imp_uid}.
func (s *Sandbox) revoke(q *request) reply {
	p, err := s.change(q.impUID, func(p *Payment) error {
		if p.PGProvider == inicis && !s.goodPGAPIKey(q.query.Get("pg_api_key")) {
			return refused(noHash)
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
