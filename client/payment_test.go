package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"vbankbatch/client"
)

// TestSamples decodes every reply that was seen on the wire or stands in the documents, and looks for each of its
// fields in the Payment.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	fields := make(map[string]bool)
	for field := range reflect.TypeFor[client.Payment]().Fields() {
		fields[strings.Split(field.Tag.Get("json"), ",")[0]] = true
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var sample struct {
				Status int `json:"http_status"`
				Body   struct {
					Code     int
					Message  *string
					Response json.RawMessage
				}
				Response json.RawMessage `json:"body_response_only"`
			}
			if err := json.Unmarshal(text, &sample); err != nil {
				t.Fatal(err)
			}
			response := sample.Body.Response
			if len(response) == 0 {
				response = sample.Response
			}
			var named map[string]json.RawMessage
			if json.Unmarshal(response, &named) != nil || named["imp_uid"] == nil {
				return // a refusal, or a token
			}
			var payment client.Payment
			if err := json.Unmarshal(response, &payment); err != nil {
				t.Fatal(err)
			}
			if payment.ImpUID == "" || payment.MerchantUID == "" {
				t.Errorf("%+v", payment)
			}
			for name := range named {
				if !fields[name] {
					t.Errorf("the field %s has no place in Payment", name)
				}
			}
		})
	}
}

func TestLiberalTypes(t *testing.T) {
	for _, test := range []struct {
		json string
		want client.Payment
		bad  bool
	}{
		{json: `{"amount":1000,"vbank_date":1767797999}`, want: client.Payment{Amount: 1000, VbankDate: 1767797999}},
		{json: `{"amount":1000.0,"vbank_date":1767797999.5}`, want: client.Payment{Amount: 1000, VbankDate: 1767797999}},
		{json: `{"amount":"1000","vbank_date":"1767797999"}`, want: client.Payment{Amount: 1000, VbankDate: 1767797999}},
		{json: `{"amount":"1000.00","vbank_date":null}`, want: client.Payment{Amount: 1000}},
		{json: `{"amount":null,"vbank_date":""}`},
		{json: `{"amount":1e3}`, want: client.Payment{Amount: 1000}},
		{json: `{"amount":1000.5}`, bad: true},
		{json: `{"amount":"1,000"}`, bad: true},
		{json: `{"vbank_date":"soon"}`},
		{json: `{"card_type":"null"}`},
		{json: `{"card_type":1,"vbank_num":"X001234"}`, want: client.Payment{CardType: "1", VbankNum: "X001234"}},
		{json: `{"name":"\uac00\/나","escrow":"true","cash_receipt_issued":1}`, want: client.Payment{Name: "가/나", Escrow: true, CashReceiptIssued: true}},
		{json: `{"fail_reason":"no\n\r\n\u001b]0;money\u0007 "}`, want: client.Payment{FailReason: "no ]0;money  "}},
		{json: "{\"fail_reason\":\"no\u009b2Jmoney\"}", want: client.Payment{FailReason: "no 2Jmoney"}},
		{json: `{"status":"something new","not_known":{"a":[1]}}`, want: client.Payment{Status: "something new"}},
	} {
		var got client.Payment
		err := json.Unmarshal([]byte(test.json), &got)
		if (err != nil) != test.bad || (!test.bad && !reflect.DeepEqual(got, test.want)) {
			t.Errorf("%s: %+v, %v", test.json, got, err)
		}
	}
}

// TestUnix tells seconds from what is finer by the magnitude alone.
func TestUnix(t *testing.T) {
	for text, want := range map[string]client.Unix{
		`1767193199`: 1767193199, `"1767193199"`: 1767193199, `0`: 0, `-1`: -1,
		`1767193199000`: 1767193199, `1767193199999`: 1767193199, `"1767193199000"`: 1767193199, `1767193199000.5`: 1767193199, `1.767193199e12`: 1767193199,
		`1767193199000000`: 1767193199, `1767193199000000000`: 1767193199,
		`253402300799`: 253402300799, `253402300799000`: 253402300799, // 9999-12-31 is a due date that never comes
		`4102412399`: 4102412399, `4102412399000`: 4102412399, `315529200000`: 315529200, // 2099; 1980 in milliseconds
	} {
		var got client.Unix
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
}

// TestPaymentsSplits asks for more orders than fit in one request, by number and by length.
func TestPaymentsSplits(t *testing.T) {
	var sizes []int
	asked := make(map[string]int)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		ids := r.URL.Query()["merchant_uid[]"]
		sizes = append(sizes, len(ids))
		if len(r.RequestURI) > 8000 {
			t.Errorf("a request line of %d bytes", len(r.RequestURI))
		}
		for _, id := range ids {
			asked[id]++
		}
		w.WriteHeader(404)
		fmt.Fprint(w, `{"code":-1,"message":"존재하지 않는 결제정보입니다.","response":null}`)
	})
	var ids []string
	for i := range 250 {
		ids = append(ids, fmt.Sprintf("order-%d", i))
	}
	for i := range 50 {
		ids = append(ids, fmt.Sprintf("가나다라마바사아자차카타파하가나다라마바사아자차카타파하-%d", i))
	}
	found, err := c.Payments(context.Background(), "", ids)
	if err != nil || len(found) != 0 {
		t.Fatal(found, err)
	}
	if len(asked) != 300 || sizes[0] != 100 || sizes[1] != 100 || len(sizes) < 4 {
		t.Errorf("%d orders asked in %v", len(asked), sizes)
	}
}

func TestFindAllPages(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		page := r.URL.Query().Get("page")
		next := map[string]int{"1": 2, "2": 3, "3": 0}[page]
		fmt.Fprintf(w, `{"code":0,"message":null,"response":{"total":3,"previous":0,"next":%d,"list":[{"imp_uid":"imp_%s","merchant_uid":"a/b"}]}}`, next, page)
	})
	list, err := c.FindAll(context.Background(), "", "a/b", "ready")
	if err != nil || len(list) != 3 || list[2].ImpUID != "imp_3" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := c.FindAll(context.Background(), "", "other", ""); client.KindOf(err) != client.Mismatch {
		t.Errorf("another order's list: %v", err)
	}
}

// TestFindAllIsWhole has lists that are not: none of them may be taken for "there is no account".
func TestFindAllIsWhole(t *testing.T) {
	for name, response := range map[string]string{
		"no list": `{}`, "null": `{"total":0,"next":0,"list":null}`, "shorter than its total": `{"total":2,"next":0,"list":[]}`,
		"one of two": `{"total":2,"next":0,"list":[{"imp_uid":"imp_1","merchant_uid":"A-1"}]}`, "without end": `{"total":1,"next":7,"list":[]}`,
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"code":0,"message":null,"response":%s}`, response)
		})
		if list, err := c.FindAll(context.Background(), "", "A-1", ""); client.KindOf(err) != client.Malformed {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

func FuzzPayment(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"code":0,"response":{"imp_uid":7,"merchant_uid":null,"amount":"1e3","vbank_date":1.5,"cancel_history":[{}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var wrapped struct{ Response client.Payment }
		if json.Unmarshal(body, &wrapped) != nil {
			return
		}
		text, err := json.Marshal(wrapped.Response)
		if err != nil {
			t.Fatal(err)
		}
		var again client.Payment
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("what was read from %q cannot be read back: %v", body, err)
		}
		if again.ImpUID != wrapped.Response.ImpUID || again.Amount != wrapped.Response.Amount || again.VbankNum != wrapped.Response.VbankNum {
			t.Fatalf("%q: %+v, then %+v", body, wrapped.Response, again)
		}
	})
}
