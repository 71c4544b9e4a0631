package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// request is what a request asks for, read whole before anything is decided about it.
type request struct {
	impUID, merchantUID, status string // from the path
	tier                        string // of the Tier header
	query                       url.Values
	fields                      fields // from the body
	fault                       drawn  // look-ups tell their own lies
}

// fields are the bodies of all endpoints in one.
type fields struct {
	ImpKey                     scalar          `json:"imp_key"`
	ImpSecret                  scalar          `json:"imp_secret"`
	MerchantUID                scalar          `json:"merchant_uid"`
	Amount                     scalar          `json:"amount"`
	VbankCode                  scalar          `json:"vbank_code"`
	VbankDue                   scalar          `json:"vbank_due"`
	VbankHolder                scalar          `json:"vbank_holder"`
	Name                       scalar          `json:"name"`
	BuyerName                  scalar          `json:"buyer_name"`
	BuyerEmail                 scalar          `json:"buyer_email"`
	BuyerTel                   scalar          `json:"buyer_tel"`
	BuyerAddr                  scalar          `json:"buyer_addr"`
	BuyerPostcode              scalar          `json:"buyer_postcode"`
	PG                         scalar          `json:"pg"`
	ChannelKey                 scalar          `json:"channel_key"`
	CustomData                 json.RawMessage `json:"custom_data"`
	VbankNum                   scalar          `json:"vbank_num"`
	VbankKey                   scalar          `json:"vbank_key"`
	ProductType                scalar          `json:"product_type"`
	BusinessRegistrationNumber scalar          `json:"business_registration_number"`
	TaxFree                    scalar          `json:"tax_free"`
	VatAmount                  scalar          `json:"vat_amount"`
	EscrowPassword             scalar          `json:"escrow_password"`
	FixedUnlimitedVbank        scalar          `json:"fixed_unlimited_vbank"`
}

// scalar is text, or a number or boolean as it was written; null is empty.
type scalar string

func (v *scalar) UnmarshalJSON(raw []byte) error {
	switch {
	case string(raw) == "null":
		*v = ""
	case raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw):
		*v = scalar(raw[1 : len(raw)-1])
	case raw[0] == '"':
		return json.Unmarshal(raw, (*string)(v))
	default:
		*v = scalar(raw)
	}
	return nil
}

// whole is the value as a whole number; 1000.0 is one too.
func (v scalar) whole() (int64, bool) {
	if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(v), 64)
	n := int64(f)
	return n, err == nil && f > -1<<53 && f < 1<<53 && float64(n) == f
}

const maxBody = 1 << 20 // bytes

func read(r *http.Request) (*request, error) {
	q := &request{impUID: r.PathValue("imp_uid"), merchantUID: r.PathValue("merchant_uid"), status: r.PathValue("status"), tier: r.Header.Get("Tier")}
	if r.URL.RawQuery != "" {
		q.query = r.URL.Query()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return q, invalid("요청 본문을 읽을 수 없습니다.")
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if body, err = formAsJSON(string(body)); err != nil {
			return q, invalid("요청 본문이 올바른 form 형식이 아닙니다.")
		}
	}
	if len(bytes.TrimSpace(body)) > 0 {
		if err := json.Unmarshal(body, &q.fields); err != nil {
			return q, invalid("요청 본문이 올바른 JSON 형식이 아닙니다.")
		}
	}
	return q, nil
}

func formAsJSON(body string) ([]byte, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, err
	}
	first := make(map[string]string, len(values))
	for name := range values {
		first[name] = values.Get(name)
	}
	return json.Marshal(first)
}

// id is what the request is about, by which its faults are drawn.
func (q *request) id() string {
	id := cmp.Or(q.impUID, q.merchantUID, string(q.fields.MerchantUID))
	if id == "" {
		for _, ids := range [][]string{q.query["merchant_uid[]"], q.query["imp_uid[]"]} {
			if len(ids) > 0 {
				return ids[0]
			}
		}
	}
	return id
}
