package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"vbankbatch/client/say"
)

// Channel is one PG contract of the account, as GET /users/pg lists it.
type Channel struct {
	PGProvider  Text `json:"pg_provider"`
	PGID        Text `json:"pg_id"` // MID
	Sandbox     Flag `json:"sandbox"`
	Type        Text `json:"type"`
	ChannelName Text `json:"channel_name"`
	ChannelKey  Text `json:"channel_key"`
}

const opChannels = "GET /users/pg"

// Channels lists the account's channels: GET /users/pg, of the vendor's later schema.
func (c *Client) Channels(ctx context.Context) ([]Channel, error) {
	return ask[[]Channel](ctx, c, call{op: opChannels})
}

// IssueRequest is the body of POST /vbanks. The fields without a remark are those of the document "Request virtual
// account API"; those marked [now] came with the vendor's later schema. Lengths are in characters.
type IssueRequest struct {
	MerchantUID   string          `json:"merchant_uid"`             // required, 40
	Amount        int64           `json:"amount"`                   // required, won
	VbankCode     string          `json:"vbank_code"`               // required, the PG's own bank code
	VbankDue      int64           `json:"vbank_due"`                // required, UNIX seconds
	VbankHolder   string          `json:"vbank_holder,omitempty"`   // required in the document, 16; some PGs ignore it [now]
	Name          string          `json:"name,omitempty"`           // 40
	BuyerName     string          `json:"buyer_name,omitempty"`     // 16
	BuyerEmail    string          `json:"buyer_email,omitempty"`    // 64
	BuyerTel      string          `json:"buyer_tel,omitempty"`      // 16
	BuyerAddr     string          `json:"buyer_addr,omitempty"`     // 128
	BuyerPostcode string          `json:"buyer_postcode,omitempty"` // 8
	PG            string          `json:"pg,omitempty"`             // {PG} or {PG}.{MID}; unknown or missing: the default PG
	NoticeURL     NoticeURL       `json:"notice_url,omitempty"`     // a string in the document, an array [now]
	CustomData    json.RawMessage `json:"custom_data,omitempty"`    // any JSON; comes back as a JSON string

	ChannelKey                 string `json:"channel_key,omitempty"`                  // [now] in place of pg
	VbankNum                   string `json:"vbank_num,omitempty"`                    // [now] fixed account: settle, smartro_v2
	VbankKey                   string `json:"vbank_key,omitempty"`                    // [now] fixed account: tosspayments, 13
	ProductType                string `json:"product_type,omitempty"`                 // [now] ksnet: real or digital
	BusinessRegistrationNumber string `json:"business_registration_number,omitempty"` // [now] nice_v2, 10
	TaxFree                    *int64 `json:"tax_free,omitempty"`                     // [now] won: nice, nice_v2, welcome
	VatAmount                  *int64 `json:"vat_amount,omitempty"`                   // [now] won: nice, nice_v2, welcome
	ProductCount               *int64 `json:"product_count,omitempty"`                // [now]
	EscrowPassword             string `json:"escrow_password,omitempty"`              // [now]
	FixedUnlimitedVbank        bool   `json:"fixed_unlimited_vbank,omitempty"`        // [now] settle

	Tier     string `json:"-"` // of the Tier header, which names a sub-merchant; "" sends none
	PGAPIKey Secret `json:"-"` // query parameter pg_api_key: required for KG Inicis, sent for nobody else
}

// NoticeURL is one address or several; one is sent as a string, as the document has it, several as an array.
type NoticeURL []string

// MarshalJSON writes a lone address as a string.
func (n NoticeURL) MarshalJSON() ([]byte, error) {
	if len(n) == 1 {
		return json.Marshal(n[0])
	}
	return json.Marshal([]string(n))
}

// UpdateRequest is the body of PUT /vbanks/{imp_uid}: at least one of the two.
type UpdateRequest struct {
	Amount   int64 `json:"amount,omitempty"`    // won; 0 leaves it as it is
	VbankDue int64 `json:"vbank_due,omitempty"` // UNIX seconds; 0 leaves it as it is

	Tier string `json:"-"` // as of an IssueRequest
}

// RevokeRequest is what DELETE /vbanks/{imp_uid} takes.
type RevokeRequest struct {
	Tier     string // as of an IssueRequest
	PGAPIKey Secret // for KG Inicis alone
}

// Issue asks for a virtual account: POST /vbanks, of the document "Request virtual account API".
//
// There is no idempotency key: each Issue that reaches the API makes an account. When the error is in doubt
// ([InDoubt]) ask with FindAll before calling again.
func (c *Client) Issue(ctx context.Context, request IssueRequest) (Payment, error) {
	k := call{op: "POST /vbanks", tier: request.Tier, query: keyQuery(request.PGAPIKey), body: request}
	again := false
	k.refuted = func(ctx context.Context) *Error {
		again = true
		return c.unlessMade(ctx, k.op, request.Tier, request.MerchantUID)
	}
	payment, err := c.vbank(ctx, k)
	payment.SentAgain = again
	switch {
	case err == nil && string(payment.MerchantUID) != request.MerchantUID:
		return Payment{}, &Error{Op: k.op, Kind: Mismatch, Acted: true, ImpUID: string(payment.ImpUID)}
	case err == nil && payment.VbankNum == "" && payment.Status != StatusFailed:
		return Payment{}, &Error{Op: k.op, Kind: Malformed, Acted: true, ImpUID: string(payment.ImpUID),
			Err: say.New("the reply says success and holds no vbank_num")}
	}
	return payment, err
}

// unlessMade returns nil if the API has no account of the order, so that its issue may be sent once more. A refusal is the
// word of whatever answered: a gateway in front of the API may refuse what it has passed on. A look-up that fails leaves
// the issue in doubt, unless it was refused like the issue itself.
func (c *Client) unlessMade(ctx context.Context, op, tier, merchantUID string) *Error {
	payments, err := c.FindAll(ctx, tier, merchantUID, "")
	if fault, ok := errors.AsType[*Error](err); ok {
		if fault.Kind == Refused || fault.Kind == NotFound { // not found: a later page of what was found
			return &Error{Op: op, Kind: Refuted, Err: fault}
		}
		return fault
	}
	if live, paid := Living(payments); len(live)+len(paid) > 0 {
		return &Error{Op: op, Kind: Refuted}
	}
	return nil
}

// Update changes the amount or the due date of an account that waits for its deposit: PUT /vbanks/{imp_uid}, of
// the document "Update virtual account API". Refused when the account is not ready; NotFound when there is none.
func (c *Client) Update(ctx context.Context, impUID string, request UpdateRequest) (Payment, error) {
	return c.vbankOf(ctx, impUID, call{op: "PUT /vbanks/{imp_uid}", tier: request.Tier, body: request})
}

// Revoke takes an account back: DELETE /vbanks/{imp_uid}, of the vendor's later schema. A revoked payment has the
// status failed.
func (c *Client) Revoke(ctx context.Context, impUID string, request RevokeRequest) (Payment, error) {
	return c.vbankOf(ctx, impUID, call{op: "DELETE /vbanks/{imp_uid}", tier: request.Tier, query: keyQuery(request.PGAPIKey)})
}

func (c *Client) vbankOf(ctx context.Context, impUID string, k call) (Payment, error) {
	k.path = "/vbanks/" + segment(impUID)
	payment, err := c.vbank(ctx, k)
	if err == nil && string(payment.ImpUID) != impUID {
		return Payment{}, &Error{Op: k.op, Kind: Mismatch, Acted: true, ImpUID: string(payment.ImpUID)}
	}
	return payment, err
}

func (c *Client) vbank(ctx context.Context, k call) (Payment, error) {
	payment, err := ask[Payment](ctx, c, k)
	if err == nil && payment.ImpUID == "" {
		return Payment{}, &Error{Op: k.op, Kind: Malformed, Acted: true, Err: say.New("the reply says success and holds no imp_uid")}
	}
	return payment, err
}

func keyQuery(key Secret) url.Values {
	if key == "" {
		return nil
	}
	return url.Values{"pg_api_key": {string(key)}}
}

// segment escapes an id for use as one segment of a path; "." and ".." would otherwise climb.
func segment(id string) string {
	if strings.Trim(id, ".") == "" {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}
