package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"vbankbatch/client"
)

// Payment is what the sandbox keeps of a virtual account: the fields of the API's PaymentAnnotation that can differ
// from one account to the next, by the same names. Text that is empty is null on the wire.
type Payment struct {
	ImpUID        string `json:"imp_uid,omitempty"`
	MerchantUID   string `json:"merchant_uid,omitempty"`
	PGProvider    string `json:"pg_provider,omitempty"`
	PGID          string `json:"pg_id,omitempty"`
	PGTid         string `json:"pg_tid,omitempty"`
	VbankCode     string `json:"vbank_code,omitempty"` // KFTC, three digits
	VbankName     string `json:"vbank_name,omitempty"`
	VbankNum      string `json:"vbank_num,omitempty"` // 14 digits
	VbankHolder   string `json:"vbank_holder,omitempty"`
	VbankDate     int64  `json:"vbank_date,omitempty"`      // due, UNIX seconds
	VbankIssuedAt int64  `json:"vbank_issued_at,omitempty"` // UNIX seconds
	Name          string `json:"name,omitempty"`
	Amount        int64  `json:"amount,omitempty"` // won
	BuyerName     string `json:"buyer_name,omitempty"`
	BuyerEmail    string `json:"buyer_email,omitempty"`
	BuyerTel      string `json:"buyer_tel,omitempty"`
	BuyerAddr     string `json:"buyer_addr,omitempty"`
	BuyerPostcode string `json:"buyer_postcode,omitempty"`
	CustomData    string `json:"custom_data,omitempty"` // JSON
	Status        string `json:"status,omitempty"`      // one of the client's Status constants
	StartedAt     int64  `json:"started_at,omitempty"`  // UNIX seconds
	PaidAt        int64  `json:"paid_at,omitempty"`     // UNIX seconds, or 0
	FailedAt      int64  `json:"failed_at,omitempty"`   // UNIX seconds, or 0
	FailReason    string `json:"fail_reason,omitempty"`
	Sandbox       bool   `json:"sandbox,omitempty"` // a test channel's

	TaxFree bool   `json:"tax_free,omitempty"` // issued with tax_free; not on the wire
	Tier    string `json:"tier,omitempty"`     // the sub-merchant's; not on the wire

	since  time.Time // in real time, as all delays; zero if it was read from the state file
	before *Payment  // what it was until then, nil if it was made then
}

// asOf is the payment as it was at a time, nil if it did not exist; the zero time is now.
func (p *Payment) asOf(t time.Time) *Payment {
	for !t.IsZero() && p != nil && p.since.After(t) {
		p = p.before
	}
	return p
}

// constant is what the annotation of every virtual account of the sandbox holds.
const constant = `,"pay_method":"vbank","channel":"api","currency":"KRW","user_agent":"sorry_not_supported_anymore",` +
	`"emb_pg_provider":null,"escrow":false,"apply_num":null,"bank_code":null,"bank_name":null,"card_code":null,` +
	`"card_name":null,"card_quota":0,"card_number":null,"card_type":null,"card_issuer_code":null,` +
	`"card_issuer_name":null,"card_publisher_code":null,"card_publisher_name":null,"cancel_amount":0,` +
	`"cancelled_at":0,"cancel_reason":null,"cancel_history":[],"cancel_receipt_urls":[],"cash_receipt_issued":false,` +
	`"customer_uid":null,"customer_uid_usage":null,"receipt_url":null,"deposit_history":[],"promotion":null}`

// paymentRoom is as many bytes as most payments take on the wire.
const paymentRoom = 2048

// wireNames are the names of the fields that are on the wire, in their order, as JSON has them before a value.
var wireNames = func() (names []string) {
	for field := range reflect.TypeFor[Payment]().Fields() {
		if field.Name == "TaxFree" {
			break
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, `,"`+name+`":`)
	}
	names[0] = "{" + names[0][1:]
	return names
}()

// append writes the payment as the API's annotation, by hand because issuing is measured in thousands a second.
func (p *Payment) append(b []byte) []byte {
	v := reflect.ValueOf(p).Elem()
	for i, name := range wireNames {
		b = append(b, name...)
		switch field := v.Field(i); field.Kind() {
		case reflect.String:
			b = appendText(b, field.String())
		case reflect.Int64:
			b = strconv.AppendInt(b, field.Int(), 10)
		case reflect.Bool:
			b = strconv.AppendBool(b, field.Bool())
		}
	}
	return append(b, constant...)
}

// appendText quotes as the API does: ASCII alone, slashes escaped too. "" is null.
func appendText(b []byte, text string) []byte {
	if text == "" {
		return append(b, "null"...)
	}
	b = append(b, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\' || c == '/':
			b = append(b, '\\', byte(c))
		case c >= ' ' && c < 0x7f:
			b = append(b, byte(c))
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			b = appendEscape(appendEscape(b, high), low)
		default:
			b = appendEscape(b, c)
		}
	}
	return append(b, '"')
}

func appendEscape(b []byte, c rune) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}

func appendList(b []byte, list []*Payment) []byte {
	b = append(b, '[')
	for i, p := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.append(b)
	}
	return append(b, ']')
}

// getPayment hides the payments of a test channel unless asked: GET /payments/{imp_uid}.
func (s *Sandbox) getPayment(q *request) reply {
	p, err := s.byID(q.tier, q.impUID, s.asOf(q))
	if err == nil && p.Sandbox && q.query.Get("include_sandbox") != "true" {
		err = ErrNotFound
	}
	return about(p, err)
}

// find is the newest payment of an order: GET /payments/find/{merchant_uid}[/{status}].
func (s *Sandbox) find(q *request) reply {
	return about(s.newest(orderName{q.tier, q.merchantUID}, q.status, s.asOf(q)))
}

// findAll is a page of an order's payments: GET /payments/findAll/{merchant_uid}[/{status}].
func (s *Sandbox) findAll(q *request) reply {
	page, limit := 1, 20
	for name, value := range map[string]*int{"page": &page, "limit": &limit} {
		if text := q.query.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || name == "limit" && n > 1000 {
				return failure(invalid(name + " 파라메터가 올바르지 않습니다."))
			}
			*value = n
		}
	}
	whole := s.ofOrder(orderName{q.tier, q.merchantUID}, q.status, s.asOf(q))
	if len(whole) == 0 && q.fault.fault != EmptyList {
		return failure(ErrNotFound)
	}
	list := q.fault.shown(whole)
	if q.query.Get("sorting") == "started" {
		slices.Reverse(list)
	}
	total, next := len(list), 0
	pages := (total + limit - 1) / limit
	if page < pages {
		next = page + 1
	}
	from := (page - 1) * limit
	if q.fault.fault == SamePage {
		from = 0
	}
	list = list[min(from, total):min(from+limit, total)]
	if q.fault.fault == PartList {
		total = len(whole)
	}
	b := fmt.Appendf(nil, `{"total":%d,"previous":%d,"next":%d,"list":`, total, page-1, next)
	return ok(append(appendList(b, list), '}'))
}

// getPayments looks up to 100 ids up at once, in no order: GET /payments. Of an order with several payments it tells
// of the newest alone, since the API promises no more.
func (s *Sandbox) getPayments(q *request) reply {
	orders, ids := q.query["merchant_uid[]"], q.query["imp_uid[]"]
	if n := len(orders) + len(ids); n == 0 || n > 100 {
		return failure(invalid("imp_uid[], merchant_uid[]는 1개 이상 100개 이하여야 합니다."))
	}
	var list []*Payment
	missing := false
	add := func(p *Payment, err error) {
		if err != nil {
			missing = true
		} else if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	for _, uid := range orders {
		add(s.newest(orderName{q.tier, uid}, "", s.asOf(q)))
	}
	for _, id := range ids {
		add(s.byID(q.tier, id, s.asOf(q)))
	}
	if len(list) == 0 && q.fault.fault != EmptyList {
		return failure(ErrNotFound)
	}
	// The same question gets the same order.
	shuffle := rand.New(rand.NewPCG(s.config.Faults.Seed, hash(0, q.id(), "")))
	shuffle.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = q.fault.shown(list)
	out := reply{status: http.StatusOK, body: append(appendList(begin(len(list)*paymentRoom, 0, ""), list), '}')}
	asIfWhole := q.fault.fault == ShortList || q.fault.fault == EmptyList
	if q.fault.fault == PartList || missing && !asIfWhole {
		out.status = http.StatusMultiStatus
	}
	return out
}

// asOf is the time of which a look-up tells: zero, which is now, but for one that meets Stale.
func (s *Sandbox) asOf(q *request) time.Time {
	if q.fault.fault != Stale {
		return time.Time{}
	}
	return time.Now().Add(-s.config.Faults.StaleBy)
}

// account is what GET /_sandbox/accounts tells of a payment.
type account struct {
	MerchantUID string `json:"merchant_uid"`
	ImpUID      string `json:"imp_uid"`
	Status      string `json:"status"`
	Amount      int64  `json:"amount"`
	VbankNum    string `json:"vbank_num"`
	VbankDue    int64  `json:"vbank_due"`
}

// getAccounts lists every account, each on a line of its own: GET /_sandbox/accounts.
func (s *Sandbox) getAccounts(*request) reply {
	var lines [][]byte
	for _, p := range s.snapshot() {
		line, err := json.Marshal(account{p.MerchantUID, p.ImpUID, p.Status, p.Amount, p.VbankNum, p.VbankDate})
		if err != nil {
			return failure(err)
		}
		lines = append(lines, line)
	}
	return reply{status: http.StatusOK, body: fmt.Appendf(nil, "[%s]\n", bytes.Join(lines, []byte(",\n")))}
}

// payIn has a customer pay: POST /_sandbox/pay/{imp_uid}.
func (s *Sandbox) payIn(q *request) reply {
	if err := s.Pay(q.impUID); err != nil {
		return failure(err)
	}
	return reply{status: http.StatusNoContent}
}

// getChannels lists the channels: GET /users/pg.
func (s *Sandbox) getChannels(*request) reply {
	list, err := json.Marshal(s.config.Channels)
	if err != nil {
		return failure(err)
	}
	return ok(list)
}

// defaultChannels are one of each PG; nice has the channel_key channel-key-nice.
func defaultChannels(test bool) []client.Channel {
	var list []client.Channel
	for _, provider := range providers {
		list = append(list, client.Channel{
			PGProvider: client.Text(provider), PGID: client.Text(mid(provider)), Sandbox: client.Flag(test),
			Type: "PAYMENT", ChannelName: client.Text("sandbox " + provider), ChannelKey: client.Text("channel-key-" + provider),
		})
	}
	return list
}
