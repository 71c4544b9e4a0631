package client

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"vbankbatch/client/say"
)

var errMissingToken = say.New("the reply holds no access_token")

// Payment is the API's PaymentAnnotation: every field of the documents' response model, and the newer ones last.
// Unknown fields are ignored, null and missing ones are zero.
type Payment struct {
	ImpUID            Text           `json:"imp_uid"`         // PortOne's own id of the payment
	MerchantUID       Text           `json:"merchant_uid"`    // the order
	PayMethod         Text           `json:"pay_method"`      // "vbank" for virtual accounts
	Channel           Text           `json:"channel"`         // pc, mobile or api
	PGProvider        Text           `json:"pg_provider"`     // PG code
	EmbPGProvider     Text           `json:"emb_pg_provider"` // PG code of a hub
	PGTid             Text           `json:"pg_tid"`          // the PG's own id
	PGID              Text           `json:"pg_id"`           // MID
	Escrow            Flag           `json:"escrow"`          //
	ApplyNum          Text           `json:"apply_num"`       // card approval number
	BankCode          Text           `json:"bank_code"`       //
	BankName          Text           `json:"bank_name"`       //
	CardCode          Text           `json:"card_code"`       //
	CardName          Text           `json:"card_name"`       //
	CardQuota         Won            `json:"card_quota"`      // instalments
	CardNumber        Text           `json:"card_number"`     // masked
	CardType          Text           `json:"card_type"`       // "0" credit, "1" check
	VbankCode         Text           `json:"vbank_code"`      // KFTC code of three digits, whatever was sent
	VbankName         Text           `json:"vbank_name"`      // the bank to pay into
	VbankNum          Text           `json:"vbank_num"`       // text: leading zeros count; up to 32 characters
	VbankHolder       Text           `json:"vbank_holder"`    // may differ from what was asked for, or be empty
	VbankDate         Unix           `json:"vbank_date"`      // due, UNIX seconds; may differ from what was asked for
	VbankIssuedAt     Unix           `json:"vbank_issued_at"` // UNIX seconds
	Name              Text           `json:"name"`            //
	Amount            Won            `json:"amount"`          // won
	CancelAmount      Won            `json:"cancel_amount"`   // won
	Currency          Text           `json:"currency"`        // "KRW"
	BuyerName         Text           `json:"buyer_name"`      //
	BuyerEmail        Text           `json:"buyer_email"`     //
	BuyerTel          Text           `json:"buyer_tel"`       //
	BuyerAddr         Text           `json:"buyer_addr"`      //
	BuyerPostcode     Text           `json:"buyer_postcode"`  //
	CustomData        Text           `json:"custom_data"`     // a JSON string
	UserAgent         Text           `json:"user_agent"`      //
	Status            Text           `json:"status"`          // one of the Status constants, or one that is newer
	StartedAt         Unix           `json:"started_at"`      // UNIX seconds
	PaidAt            Unix           `json:"paid_at"`         // UNIX seconds
	FailedAt          Unix           `json:"failed_at"`       // UNIX seconds
	CancelledAt       Unix           `json:"cancelled_at"`    // UNIX seconds
	FailReason        Text           `json:"fail_reason"`     //
	CancelReason      Text           `json:"cancel_reason"`   //
	ReceiptURL        Text           `json:"receipt_url"`     //
	CancelHistory     []Cancellation `json:"cancel_history"`  //
	CancelReceiptURLs []Text         `json:"cancel_receipt_urls"`
	CashReceiptIssued Flag           `json:"cash_receipt_issued"`
	CustomerUID       Text           `json:"customer_uid"`
	CustomerUIDUsage  Text           `json:"customer_uid_usage"`

	Sandbox           Flag            `json:"sandbox"`         // a test channel's payment
	DepositHistory    json.RawMessage `json:"deposit_history"` // as it came
	Promotion         json.RawMessage `json:"promotion"`       // as it came
	CardIssuerCode    Text            `json:"card_issuer_code"`
	CardIssuerName    Text            `json:"card_issuer_name"`
	CardPublisherCode Text            `json:"card_publisher_code"`
	CardPublisherName Text            `json:"card_publisher_name"`

	// SentAgain is no field of the API: the issue that made this was sent more than once, each time but the last refused
	// with 401 or 429.
	SentAgain bool `json:"-"`
}

// Cancellation is the API's PaymentCancelAnnotation.
type Cancellation struct {
	PGTid          Text `json:"pg_tid"`
	Amount         Won  `json:"amount"`       // won
	CancelledAt    Unix `json:"cancelled_at"` // UNIX seconds
	Reason         Text `json:"reason"`
	ReceiptURL     Text `json:"receipt_url"`
	CancellationID Text `json:"cancellation_id"` // newer than the documents
}

// The values of Payment.Status. A revoked account shows as failed, with 계좌말소 as its reason.
const (
	StatusReady     = "ready" // waits for its deposit
	StatusPaid      = "paid"
	StatusCancelled = "cancelled"
	StatusFailed    = "failed"
)

// Living returns the virtual accounts among an order's payments that are, or may be, open for a deposit, and those
// payments that are paid. Failed and cancelled ones are no obstacle to an issue, nor is a payment by card that was
// begun; a status that is not known is taken for living.
func Living(payments []Payment) (live, paid []Payment) {
	for i := range payments {
		switch p := &payments[i]; {
		case p.Status == StatusFailed || p.Status == StatusCancelled:
		case p.Status == StatusPaid:
			paid = append(paid, *p)
		case p.PayMethod != "vbank" && p.PayMethod != "":
		case live == nil:
			live = payments[i : i+1 : i+1] // mostly the only one: not copied
		default:
			live = append(live, *p)
		}
	}
	return live, paid
}

// Text is a string, or whatever scalar the API sends in its place; null and the string "null" are empty. A PG's words end
// up on terminals and in files, so there is a space for line breaks and other control characters.
type Text string

// UnmarshalJSON accepts every JSON value.
func (t *Text) UnmarshalJSON(raw []byte) error {
	switch {
	case string(raw) == "null":
		*t = ""
	case raw[0] == '"':
		var room [64]byte
		text, _ := jsontext.AppendUnquote(room[:0], raw) // with U+FFFD in place of what is not UTF-8
		if bytes.ContainsFunc(text, unicode.IsControl) {
			text = bytes.Join(bytes.FieldsFunc(text, unicode.IsControl), []byte(" "))
		}
		if *t = Text(text); *t == "null" {
			*t = ""
		}
	default:
		*t = Text(raw)
	}
	return nil
}

// Flag is a boolean that may come as 0, 1, a string or null.
type Flag bool

// UnmarshalJSON accepts every JSON value; all but true, 1 and "true" in their forms are false.
func (f *Flag) UnmarshalJSON(raw []byte) error {
	switch strings.Trim(string(raw), `"`) {
	case "true", "1", "Y", "y":
		*f = true
	default:
		*f = false
	}
	return nil
}

// Unix is a point in time in UNIX seconds, 0 when absent. The documents call it a string; it is mostly an integer.
type Unix int64

// lastSecond is that of the year 9999, which a due date that never comes may name. A greater number counts something
// smaller than seconds: as milliseconds it is a day since 1978.
const lastSecond = 253_402_300_799

// UnmarshalJSON accepts an integer, a float, either as a string, and null; anything else is 0. Milliseconds, and what is
// finer still, become seconds.
func (u *Unix) UnmarshalJSON(raw []byte) error {
	whole, _, _ := number(raw)
	for whole > lastSecond {
		whole /= 1000
	}
	*u = Unix(whole)
	return nil
}

// Won is an amount. Whole won only: a fraction is an error, since it cannot be what was asked for.
type Won int64

// UnmarshalJSON accepts an integer, a decimal without a fraction, either as a string, and null for 0.
func (w *Won) UnmarshalJSON(raw []byte) error {
	*w = 0
	if text := strings.Trim(string(raw), `"`); text == "null" || text == "" {
		return nil
	}
	whole, exact, ok := number(raw)
	if !ok {
		return say.Errorf("an amount in the reply is not a number of won")
	}
	if !exact {
		return say.Errorf("an amount in the reply has a fraction")
	}
	*w = Won(whole)
	return nil
}

// number reads a JSON number, or a string that holds one, and cuts a fraction off: then it is not exact. One with a point or
// an exponent must be below 2^53; the API's amounts and times stay far below.
func number(raw []byte) (whole int64, exact, ok bool) {
	text := strings.TrimSpace(strings.Trim(string(raw), `"`))
	if whole, err := strconv.ParseInt(text, 10, 64); err == nil {
		return whole, true, true
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || !strings.ContainsAny(text, ".eE") || math.Abs(value) > 1<<53 {
		return 0, false, false
	}
	return int64(value), value == math.Trunc(value), true
}

// ask makes a call for a value; of an error it returns the zero value.
func ask[T any](ctx context.Context, c *Client, k call) (T, error) {
	var value T
	if err := c.do(ctx, k, &value); err != nil {
		return *new(T), err
	}
	return value, nil
}

// Payment looks one payment up by PortOne's id, test-channel payments included: GET /payments/{imp_uid}.
// The error's kind is NotFound when there is none.
func (c *Client) Payment(ctx context.Context, tier, impUID string) (Payment, error) {
	k := call{op: "GET /payments/{imp_uid}", path: "/payments/" + segment(impUID), tier: tier, query: url.Values{"include_sandbox": {"true"}}}
	payment, err := ask[Payment](ctx, c, k)
	if err == nil && string(payment.ImpUID) != impUID {
		return Payment{}, &Error{Op: k.op, Kind: Mismatch}
	}
	return payment, err
}

// Find looks up the newest payment of an order: GET /payments/find/{merchant_uid}[/{status}]; status "" means any.
// The error's kind is NotFound when there is none.
func (c *Client) Find(ctx context.Context, tier, merchantUID, status string) (Payment, error) {
	k := call{op: "GET /payments/find/{merchant_uid}", path: "/payments/find/" + orderPath(merchantUID, status), tier: tier}
	payment, err := ask[Payment](ctx, c, k)
	if err == nil && string(payment.MerchantUID) != merchantUID {
		return Payment{}, &Error{Op: k.op, Kind: Mismatch}
	}
	return payment, err
}

func orderPath(merchantUID, status string) string {
	if status == "" {
		return segment(merchantUID)
	}
	return segment(merchantUID) + "/" + segment(status)
}

// FindAll asks for pages of pageSize payments, and for maxPages at most: 10,000 payments of one order.
const (
	pageSize = 100
	maxPages = 100
)

// FindAll looks up every payment of an order, newest first: GET /payments/findAll/{merchant_uid}[/{status}];
// status "" means any. An order without one is an empty list, not an error. Just after a lost reply that is no
// proof: the account may still be being made.
func (c *Client) FindAll(ctx context.Context, tier, merchantUID, status string) ([]Payment, error) {
	k := call{op: "GET /payments/findAll/{merchant_uid}", path: "/payments/findAll/" + orderPath(merchantUID, status), tier: tier}
	var all []Payment
	torn := func(what error) ([]Payment, error) {
		return nil, &Error{Op: k.op, Kind: Malformed, Err: what}
	}
	for page := 1; ; page++ {
		if page > maxPages {
			return torn(say.New("the order has more payments than can be looked at"))
		}
		var reply struct {
			Total Won       `json:"total"`
			Next  Won       `json:"next"` // the next page's number, 0 after the last
			List  []Payment `json:"list"`
		}
		k.query = url.Values{"page": {strconv.Itoa(page)}, "limit": {strconv.Itoa(pageSize)}, "sorting": {"-started"}}
		err := c.do(ctx, k, &reply)
		switch {
		case KindOf(err) == NotFound && page == 1:
			return nil, nil
		case err != nil:
			return nil, err
		case reply.List == nil:
			return torn(say.New("the reply holds no list"))
		}
		for _, payment := range reply.List {
			if string(payment.MerchantUID) != merchantUID {
				return nil, &Error{Op: k.op, Kind: Mismatch}
			}
			if !slices.ContainsFunc(all, func(p Payment) bool { return p.ImpUID == payment.ImpUID }) { // pages shift while payments are made
				all = append(all, payment)
			}
		}
		if reply.Next == 0 {
			if len(all) < int(reply.Total) {
				return torn(say.New("the list is shorter than the total that it tells"))
			}
			return all, nil
		}
	}
}

// Limits of the look-up by many ids: 100 of them, in a request line that common servers accept (8,190 bytes).
const (
	maxIDs   = 100
	maxQuery = 7000
)

// listed is what is read of a payment in a list of many orders: decoding all of it would cost as much as issuing it.
type listed struct {
	ImpUID      Text `json:"imp_uid"`
	MerchantUID Text `json:"merchant_uid"`
	PayMethod   Text `json:"pay_method"`
	Status      Text `json:"status"`
	Amount      Won  `json:"amount"`
	VbankDate   Unix `json:"vbank_date"`
}

// Payments looks up many orders, 100 to a request: GET /payments?merchant_uid[]=…. Of each payment imp_uid, merchant_uid,
// pay_method, status, amount and vbank_date are read, and nothing else. The orders that have no payment are missing from the map. For
// one that has several the API may tell of one only: FindAll tells of all. The error's kind is Mismatch when the reply
// contradicts itself: its status is 200, which the vendor's schema has for a list of all the orders asked for (207 is for a
// part of them, 404 for none), and it lacks some.
func (c *Client) Payments(ctx context.Context, tier string, merchantUIDs []string) (map[string][]Payment, error) {
	found := make(map[string][]Payment)
	for len(merchantUIDs) > 0 {
		n, length := 0, 0
		for _, uid := range merchantUIDs[:min(len(merchantUIDs), maxIDs)] {
			length += len("&merchant_uid%5B%5D=") + len(url.QueryEscape(uid))
			if length > maxQuery && n > 0 {
				break
			}
			n++
		}
		batch := merchantUIDs[:n]
		merchantUIDs = merchantUIDs[n:]
		var status int
		k := call{op: "GET /payments", tier: tier, query: url.Values{"merchant_uid[]": batch}, status: &status}
		list, err := ask[[]listed](ctx, c, k)
		if KindOf(err) == NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, payment := range list {
			uid := string(payment.MerchantUID)
			if !slices.Contains(batch, uid) {
				return nil, &Error{Op: k.op, Kind: Mismatch}
			}
			found[uid] = append(found[uid], Payment{ImpUID: payment.ImpUID, MerchantUID: payment.MerchantUID, PayMethod: payment.PayMethod,
				Status: payment.Status, Amount: payment.Amount, VbankDate: payment.VbankDate})
		}
		if status == http.StatusOK && slices.ContainsFunc(batch, func(uid string) bool { return found[uid] == nil }) {
			return nil, &Error{Op: k.op, Kind: Mismatch}
		}
	}
	return found, nil
}
