package client_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"vbankbatch/client"
)

// TestDocuments holds the requests and the response model to the documents, field by field.
func TestDocuments(t *testing.T) {
	text, err := os.ReadFile("testdata/documents.txt")
	if err != nil {
		t.Fatal(err)
	}
	fields := func(of any) map[string]bool {
		names := make(map[string]bool)
		for f := range reflect.TypeOf(of).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names[name] = true
		}
		return names
	}
	known := map[string]map[string]bool{
		"issue body": fields(client.IssueRequest{}), "update body": fields(client.UpdateRequest{}), "issue query": {"pg_api_key": true}, "update path": {"imp_uid": true},
		"issue response": fields(client.Payment{}), "update response": fields(client.Payment{}), "issue cancellation": fields(client.Cancellation{}), "update cancellation": fields(client.Cancellation{}),
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] == "#" {
			continue
		}
		n++
		if document, part, field := words[0], words[1], words[2]; !known[document+" "+part][field] {
			t.Errorf("%s, %s: the client does not know %s", document, part, field)
		}
	}
	if n < 100 {
		t.Errorf("only %d fields are in the table", n)
	}
}

// TestRequestsAsDocumented sends every documented parameter and looks at what is on the wire.
func TestRequestsAsDocumented(t *testing.T) {
	var query string
	var body map[string]any
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		query, body = r.URL.RawQuery, nil
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		w.Write([]byte(`{"code":0,"message":null,"response":{"imp_uid":"imp_1","merchant_uid":"A-1","vbank_num":"1","status":"ready"}}`))
	})
	request := client.IssueRequest{MerchantUID: "A-1", Amount: 1000, VbankCode: "04", VbankDue: 1798729199, VbankHolder: "한빛", Name: "물건", BuyerName: "홍길동",
		BuyerEmail: "a@example.com", BuyerTel: "010", BuyerAddr: "서울", BuyerPostcode: "04524", PG: "inicis.MID", NoticeURL: client.NoticeURL{"https://a.example"},
		CustomData: json.RawMessage(`{"반":"중2"}`), PGAPIKey: "key"}
	if _, err := c.Issue(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"merchant_uid": "A-1", "amount": 1000.0, "vbank_code": "04", "vbank_due": 1798729199.0, "vbank_holder": "한빛", "name": "물건",
		"buyer_name": "홍길동", "buyer_email": "a@example.com", "buyer_tel": "010", "buyer_addr": "서울", "buyer_postcode": "04524", "pg": "inicis.MID",
		"notice_url": "https://a.example", "custom_data": map[string]any{"반": "중2"}}
	if !reflect.DeepEqual(body, want) || query != "pg_api_key=key" {
		t.Errorf("sent %v with %q", body, query)
	}
	request.NoticeURL = append(request.NoticeURL, "https://b.example")
	if _, err := c.Issue(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	if list, ok := body["notice_url"].([]any); !ok || len(list) != 2 {
		t.Errorf("two addresses were sent as %v", body["notice_url"])
	}
	if _, err := c.Update(context.Background(), "imp_1", client.UpdateRequest{Amount: 1, VbankDue: 2}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(body, map[string]any{"amount": 1.0, "vbank_due": 2.0}) || query != "" {
		t.Errorf("an update sent %v with %q", body, query)
	}
}
