package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vbankbatch/client"
)

// noon is when the tests take place.
var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// start serves a sandbox on a loopback address and returns a client for it.
func start(t *testing.T, config Config) (*Sandbox, *client.Client, string) {
	t.Helper()
	if config.Clock == nil {
		config.Clock = func() time.Time { return noon }
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	c, err := client.New(client.Config{BaseURL: server.URL, Key: "key", Secret: "secret", Workers: 8, Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		server.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, c, server.URL
}

func order(uid string) client.IssueRequest {
	return client.IssueRequest{MerchantUID: uid, Amount: 11000, VbankCode: "04", VbankDue: noon.Add(48 * time.Hour).Unix(), VbankHolder: "홍길동"}
}

func issue(t *testing.T, c *client.Client, request client.IssueRequest) client.Payment {
	t.Helper()
	p, err := c.Issue(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantError checks how a call failed.
func wantError(t *testing.T, err error, kind client.Kind, status, code int, message string) {
	t.Helper()
	e, ok := err.(*client.Error)
	if !ok || e.Kind != kind || e.Status != status || e.Code != code || !strings.Contains(e.Message, message) {
		t.Errorf("got %v, want %s, HTTP %d, code %d, %q", err, kind, status, code, message)
	}
}

func TestIssue(t *testing.T) {
	s, c, _ := start(t, Config{TestChannel: true})
	request := order("주문/1")
	request.CustomData = json.RawMessage(`{"a": [1, "나"]}`)
	request.BuyerName = `𠮷 "따옴표" \`
	request.PG = "tosspayments.mine"
	p := issue(t, c, request)
	if p.MerchantUID != "주문/1" || p.Amount != 11000 || p.VbankCode != "004" || p.VbankName != "국민은행" || len(p.VbankNum) != 14 ||
		len(p.ImpUID) != len("imp_")+12 || p.VbankHolder != "" || p.PGProvider != "tosspayments" || p.PGID != "mine" ||
		int64(p.VbankDate) != request.VbankDue || int64(p.StartedAt) != noon.Unix() || p.Status != client.StatusReady || !p.Sandbox ||
		string(p.CustomData) != `{"a":[1,"나"]}` || string(p.BuyerName) != request.BuyerName || p.PayMethod != "vbank" {
		t.Errorf("got %+v", p)
	}
	if long := strings.Repeat("가", 40); issue(t, c, order(long)).MerchantUID != client.Text(long) {
		t.Error("40 characters of merchant_uid are cut")
	}
	if again := issue(t, c, request); again.ImpUID == p.ImpUID || again.VbankNum == p.VbankNum || s.Ready("주문/1") != 2 {
		t.Errorf("the second account is %+v, ready are %d", again, s.Ready("주문/1"))
	}
}

func TestIssueChoosesChannel(t *testing.T) {
	_, c, _ := start(t, Config{DefaultPG: "nice", PGAPIKey: "pgkey"})
	for _, test := range []struct{ pg, channelKey, provider, id string }{
		{"", "", "nice", "sandbox_nice"},
		{"nobody.x", "", "nice", "sandbox_nice"},
		{"settle", "", "settle", "sandbox_settle"},
		{"inicis.M", "", "html5_inicis", "M"},
		{"", "channel-key-settle", "settle", "sandbox_settle"},
		{"kcp.M", "channel-key-settle", "settle", "sandbox_settle"},
		{"kcp", "unheard-of", "kcp", "sandbox_kcp"},
		{"", "unheard-of", "nice", "sandbox_nice"},
	} {
		request := order("a")
		request.PG, request.ChannelKey, request.PGAPIKey = test.pg, test.channelKey, "pgkey"
		request.BuyerName, request.BuyerEmail = "홍길동", "hong@example.com"
		if p := issue(t, c, request); string(p.PGProvider) != test.provider || string(p.PGID) != test.id {
			t.Errorf("%q, %q: got %s, %s", test.pg, test.channelKey, p.PGProvider, p.PGID)
		}
	}
}

func TestIssueRefused(t *testing.T) {
	s, c, _ := start(t, Config{PGAPIKey: "right"})
	if err := s.Pay(string(issue(t, c, order("paid")).ImpUID)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		change  func(*client.IssueRequest)
		status  int
		code    int
		message string
	}{
		{"no order", func(r *client.IssueRequest) { r.MerchantUID = "" }, 400, -1, "merchant_uid"},
		{"long order", func(r *client.IssueRequest) { r.MerchantUID = strings.Repeat("가", 41) }, 400, -1, "merchant_uid"},
		{"no amount", func(r *client.IssueRequest) { r.Amount = 0 }, 400, -1, "amount"},
		{"negative", func(r *client.IssueRequest) { r.Amount = -1 }, 400, -1, "amount"},
		{"no bank", func(r *client.IssueRequest) { r.VbankCode = "" }, 400, -1, "vbank_code"},
		{"no code", func(r *client.IssueRequest) { r.VbankCode = "국민" }, 400, -1, "vbank_code"},
		{"no such bank", func(r *client.IssueRequest) { r.VbankCode = "999" }, 200, 1, "은행"},
		{"no due", func(r *client.IssueRequest) { r.VbankDue = 0 }, 400, -1, "vbank_due"},
		{"past", func(r *client.IssueRequest) { r.VbankDue = noon.Unix() }, 200, 1, "[A107] 입금예정일이 지났습니다"},
		{"paid", func(r *client.IssueRequest) { r.MerchantUID = "paid" }, 200, 1, "이미 결제"},
		{"inicis without key", func(r *client.IssueRequest) { r.PG = "inicis.M" }, 200, 1, "hashData 불일치"},
		{"inicis, wrong key", func(r *client.IssueRequest) { r.PG, r.PGAPIKey = "html5_inicis", "wrong" }, 200, 1, "hashData 불일치"},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := order("new")
			test.change(&request)
			_, err := c.Issue(t.Context(), request)
			wantError(t, err, client.Refused, test.status, test.code, test.message)
		})
	}
	if n := len(s.Payments()); n != 1 {
		t.Errorf("%d accounts, want the paid one alone", n)
	}
}

func TestBankCodes(t *testing.T) {
	for code, want := range map[string]string{"4": "004", "04": "004", "004": "004", "BK04": "004", "88": "088", "": "", "BK": "", "0004": "", "1a": ""} {
		if got, _ := kftc("nice", code); got != want {
			t.Errorf("%q: got %q, want %q", code, got, want)
		}
	}
	for code, want := range map[string]string{"11": "023", "31": "071", "10": "088", "09": "020"} { // daou's own
		if got, _ := kftc("daou", code); got != want {
			t.Errorf("daou's %q: got %q, want %q", code, got, want)
		}
	}
}

// TestAnnotationIsWhole compares with the fields that the client knows of the documents and of later schemas.
func TestAnnotationIsWhole(t *testing.T) {
	var got, want map[string]any
	if err := json.Unmarshal((&Payment{}).append(nil), &got); err != nil {
		t.Fatal(err)
	}
	known, err := json.Marshal(client.Payment{DepositHistory: json.RawMessage("[]"), Promotion: json.RawMessage("null")})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(known, &want); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if _, found := got[name]; !found {
			t.Errorf("%s is missing", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d fields, want %d", len(got), len(want))
	}
	if value, found := got["vbank_holder"]; !found || value != nil {
		t.Errorf("empty text is %v, want null", value)
	}
}

func TestNumbersAreUniqueAndSomeLeadWithZero(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	seen, zeros := make(map[string]bool), 0
	for range 5000 {
		p := new(Payment)
		s.number(p)
		s.index(p)
		if seen[p.ImpUID] || seen[p.VbankNum] {
			t.Fatalf("%s, %s stand twice", p.ImpUID, p.VbankNum)
		}
		seen[p.ImpUID], seen[p.VbankNum] = true, true
		if p.VbankNum[0] == '0' {
			zeros++
		}
	}
	if zeros < 100 || zeros > 1000 {
		t.Errorf("%d of 5000 account numbers lead with a zero", zeros)
	}
}

func TestUpdate(t *testing.T) {
	s, c, url := start(t, Config{})
	id := string(issue(t, c, order("a")).ImpUID)
	due := noon.Add(72 * time.Hour).Unix()
	for _, test := range []struct {
		request     client.UpdateRequest
		amount, due int64
	}{
		{client.UpdateRequest{Amount: 500}, 500, order("").VbankDue},
		{client.UpdateRequest{VbankDue: due}, 500, due},
		{client.UpdateRequest{Amount: 700, VbankDue: due}, 700, due},
	} {
		p, err := c.Update(t.Context(), id, test.request)
		if err != nil || int64(p.Amount) != test.amount || int64(p.VbankDate) != test.due {
			t.Errorf("%+v: got %d, %d, %v", test.request, p.Amount, p.VbankDate, err)
		}
	}
	_, err := c.Update(t.Context(), id, client.UpdateRequest{})
	wantError(t, err, client.Refused, 400, -1, "amount")
	_, err = c.Update(t.Context(), id, client.UpdateRequest{Amount: -5})
	wantError(t, err, client.Refused, 400, -1, "amount")
	_, err = c.Update(t.Context(), id, client.UpdateRequest{VbankDue: 5})
	wantError(t, err, client.Refused, 200, 1, "[A107]")
	_, err = c.Update(t.Context(), "imp_0", client.UpdateRequest{Amount: 5})
	wantError(t, err, client.NotFound, 404, -1, "존재하지 않는 결제정보입니다.")
	if p := s.Payments()[0]; p.Amount != 700 || p.VbankDate != due {
		t.Errorf("a refused update left %+v", p)
	}
	response, err := http.Post(url+"/_sandbox/pay/"+id, "", nil)
	if err != nil || response.StatusCode != http.StatusNoContent {
		t.Fatal(response, err)
	}
	response.Body.Close()
	_, err = c.Update(t.Context(), id, client.UpdateRequest{Amount: 5})
	wantError(t, err, client.Refused, 400, -1, "가상계좌")
}

func TestRevoke(t *testing.T) {
	s, c, _ := start(t, Config{PGAPIKey: "right"})
	id := string(issue(t, c, order("a")).ImpUID)
	p, err := c.Revoke(t.Context(), id, client.RevokeRequest{})
	if err != nil || p.Status != client.StatusFailed || p.FailReason != "계좌말소" || int64(p.FailedAt) != noon.Unix() || s.Ready("a") != 0 {
		t.Errorf("got %+v, %v", p, err)
	}
	_, err = c.Revoke(t.Context(), id, client.RevokeRequest{})
	wantError(t, err, client.Refused, 400, -1, "가상계좌")
	_, err = c.Revoke(t.Context(), "imp_0", client.RevokeRequest{})
	wantError(t, err, client.NotFound, 404, -1, "존재하지 않는")

	request := order("b")
	request.PG, request.PGAPIKey, request.BuyerName, request.BuyerEmail = "inicis", "right", "홍길동", "hong@example.com"
	id = string(issue(t, c, request).ImpUID)
	_, err = c.Revoke(t.Context(), id, client.RevokeRequest{})
	wantError(t, err, client.Refused, 200, 1, "hashData")
	if _, err = c.Revoke(t.Context(), id, client.RevokeRequest{PGAPIKey: "right"}); err != nil {
		t.Error(err)
	}
}

func TestLookUps(t *testing.T) {
	s, c, base := start(t, Config{TestChannel: true})
	ctx := t.Context()
	var ids []string
	for range 250 {
		ids = append(ids, string(issue(t, c, order("many")).ImpUID))
	}
	if _, err := c.Revoke(ctx, ids[7], client.RevokeRequest{}); err != nil {
		t.Fatal(err)
	}
	if all, err := c.FindAll(ctx, "", "many", ""); err != nil || len(all) != 250 || string(all[0].ImpUID) != ids[249] || string(all[249].ImpUID) != ids[0] {
		t.Errorf("findAll: %d, %v", len(all), err)
	}
	if failed, err := c.FindAll(ctx, "", "many", client.StatusFailed); err != nil || len(failed) != 1 || string(failed[0].ImpUID) != ids[7] {
		t.Errorf("findAll failed: %d, %v", len(failed), err)
	}
	if none, err := c.FindAll(ctx, "", "none", ""); err != nil || len(none) != 0 {
		t.Errorf("findAll of no order: %d, %v", len(none), err)
	}
	if p, err := c.Find(ctx, "", "many", ""); err != nil || string(p.ImpUID) != ids[249] {
		t.Errorf("find: %s, %v", p.ImpUID, err)
	}
	if p, err := c.Find(ctx, "", "many", "failed"); err != nil || string(p.ImpUID) != ids[7] {
		t.Errorf("find failed: %s, %v", p.ImpUID, err)
	}
	_, err := c.Find(ctx, "", "many", "paid")
	wantError(t, err, client.NotFound, 404, -1, "존재하지 않는")
	if p, err := c.Payment(ctx, "", ids[3]); err != nil || string(p.ImpUID) != ids[3] {
		t.Errorf("payment: %s, %v", p.ImpUID, err)
	}
	_, err = c.Payment(ctx, "", "imp_0")
	wantError(t, err, client.NotFound, 404, -1, "존재하지 않는")
	if status, _ := get(t, s, base, "/payments/"+ids[3]); status != 404 {
		t.Errorf("a test channel's payment shows without being asked for: HTTP %d", status)
	}

	for _, test := range []struct {
		query                 string
		total, previous, next int
		first                 string
		n                     int
	}{
		{"", 250, 0, 2, ids[249], 20},
		{"?page=2&limit=100", 250, 1, 3, ids[149], 100},
		{"?page=3&limit=100", 250, 2, 0, ids[49], 50},
		{"?page=9&limit=100", 250, 8, 0, "", 0},
		{"?sorting=started&limit=1000", 250, 0, 0, ids[0], 250},
	} {
		status, body := get(t, s, base, "/payments/findAll/many"+test.query)
		var got struct {
			Total, Previous, Next int
			List                  []Payment
		}
		decode(t, body, &got)
		if status != 200 || got.Total != test.total || got.Previous != test.previous || got.Next != test.next || len(got.List) != test.n ||
			test.n > 0 && got.List[0].ImpUID != test.first {
			t.Errorf("findAll%s: HTTP %d, %d, %d, %d, %d payments", test.query, status, got.Total, got.Previous, got.Next, len(got.List))
		}
	}
	for _, query := range []string{"?limit=1001", "?limit=0", "?page=x"} {
		if status, _ := get(t, s, base, "/payments/findAll/many"+query); status != 400 {
			t.Errorf("findAll%s: HTTP %d", query, status)
		}
	}
}

func TestPayments(t *testing.T) {
	s, c, base := start(t, Config{})
	query, newest := make(url.Values), make(map[string]string)
	var uids []string
	for i := range 100 {
		uid := fmt.Sprint("order ", i)
		uids = append(uids, uid)
		query.Add("merchant_uid[]", uid)
		issue(t, c, order(uid))
		newest[uid] = string(issue(t, c, order(uid)).ImpUID)
	}
	status, body := get(t, s, base, "/payments?"+query.Encode())
	var list []Payment
	decode(t, body, &list)
	inOrder := true
	for i, p := range list {
		inOrder = inOrder && p.MerchantUID == uids[i]
		if newest[p.MerchantUID] != p.ImpUID {
			t.Errorf("%s of %s is not the newest", p.ImpUID, p.MerchantUID)
		}
	}
	if status != 200 || len(list) != 100 || inOrder {
		t.Errorf("HTTP %d, %d payments, in order %v", status, len(list), inOrder)
	}
	if found, err := c.Payments(t.Context(), "", append(uids, "missing")); err != nil || len(found) != 100 {
		t.Errorf("client: %d, %v", len(found), err)
	}
	query.Add("imp_uid[]", "imp_0")
	for _, test := range []struct {
		query  string
		status int
	}{
		{query.Encode(), 400}, // 101
		{"", 400},
		{"merchant_uid[]=missing", 404},
		{"merchant_uid[]=missing&imp_uid[]=" + newest["order 5"], 207},
		{"merchant_uid%5B%5D=order+5&imp_uid[]=" + newest["order 5"], 200},
	} {
		if status, _ := get(t, s, base, "/payments?"+test.query); status != test.status {
			t.Errorf("%.60s: HTTP %d, want %d", test.query, status, test.status)
		}
	}
}

func TestOddIDs(t *testing.T) {
	s, c, _ := start(t, Config{})
	for _, uid := range []string{".", "..", "...", "a//b", "a/b", "/", "../users/pg", "가 나#?", "a%2Fb", "%", "a+b&c=d", "a;b", `"\`, "find"} {
		p := issue(t, c, order(uid))
		if all, err := c.FindAll(t.Context(), "", uid, client.StatusReady); err != nil || len(all) != 1 || all[0].ImpUID != p.ImpUID {
			t.Errorf("findAll %q: %d, %v", uid, len(all), err)
		}
		if one, err := c.Find(t.Context(), "", uid, ""); err != nil || one.ImpUID != p.ImpUID {
			t.Errorf("find %q: %v", uid, err)
		}
		if found, err := c.Payments(t.Context(), "", []string{uid}); err != nil || len(found[uid]) != 1 {
			t.Errorf("payments %q: %d, %v", uid, len(found[uid]), err)
		}
		_, err := c.Revoke(t.Context(), uid, client.RevokeRequest{}) // no imp_uid: but it must be the API that says so
		wantError(t, err, client.NotFound, 404, -1, "존재하지 않는")
		if s.Ready(uid) != 1 {
			t.Errorf("%q is not ready", uid)
		}
	}
}

func TestTokenLife(t *testing.T) {
	clock := &clock{now: noon}
	s, _, base := start(t, Config{Key: "key", Secret: "secret", Clock: clock.Now})
	ask := func() (token string, left time.Duration) {
		status, body := post(t, base+"/users/getToken", "application/json", `{"imp_key":"key","imp_secret":"secret"}`, "")
		var reply struct {
			AccessToken string `json:"access_token"`
			Now         int64  `json:"now"`
			ExpiredAt   int64  `json:"expired_at"`
		}
		if decode(t, body, &reply); status != 200 || reply.Now != clock.Now().Unix() {
			t.Fatalf("HTTP %d, %s", status, body)
		}
		return reply.AccessToken, time.Duration(reply.ExpiredAt-reply.Now) * time.Second
	}
	works := func(token string) bool {
		status, _ := getAs(t, base+"/users/pg", token)
		return status == 200
	}
	first, left := ask()
	if left != 30*time.Minute || !works(first) || !works("Bearer "+first) || works("") || works("Bearer ") {
		t.Errorf("a new token lives %v, or works as it should not", left)
	}
	clock.Advance(29 * time.Minute)
	if again, left := ask(); again != first || left != time.Minute {
		t.Errorf("after 29 minutes: the same token %v, left %v", again == first, left)
	}
	clock.Advance(time.Second)
	if again, left := ask(); again != first || left != 5*time.Minute+59*time.Second {
		t.Errorf("in the last minute: the same token %v, left %v", again == first, left)
	}
	clock.Advance(5*time.Minute + 59*time.Second)
	if works(first) {
		t.Error("the token outlives its end")
	}
	if again, left := ask(); again == first || left != 30*time.Minute {
		t.Errorf("after its end: the same token %v, left %v", again == first, left)
	}
	if s.Requests()["POST /users/getToken"] != 4 {
		t.Error(s.Requests())
	}
}

func TestCredentials(t *testing.T) {
	_, _, base := start(t, Config{Key: "key", Secret: "secret"})
	const form = "application/x-www-form-urlencoded"
	for _, test := range []struct {
		contentType, body string
		status            int
		message           string
	}{
		{form, "imp_key=key&imp_secret=secret", 200, ""},
		{form, "imp_key=key", 400, "imp_key, imp_secret 파라메터가 누락되었습니다."},
		{"application/json", "", 400, "imp_key, imp_secret 파라메터가 누락되었습니다."},
		{"application/json", "{", 400, "JSON"},
		{"application/json", `{"imp_key":"key","imp_secret":"wrong"}`, 401, "인증에 실패하였습니다. API키와 secret을 확인하세요."},
	} {
		status, body := post(t, base+"/users/getToken", test.contentType, test.body, "")
		var reply struct {
			Code     int
			Message  string
			Response json.RawMessage
		}
		if err := json.Unmarshal(body, &reply); err != nil || status != test.status || !strings.Contains(reply.Message, test.message) ||
			status != 200 && (reply.Code != -1 || string(reply.Response) != "null") {
			t.Errorf("%s: HTTP %d, %s", test.body, status, body)
		}
	}
}

func TestFormBody(t *testing.T) {
	s, c, base := start(t, Config{})
	issue(t, c, order("a")) // for a token
	form := url.Values{"merchant_uid": {"폼"}, "amount": {"1000.0"}, "vbank_code": {"BK88"}, "vbank_due": {fmt.Sprint(order("").VbankDue)}, "vbank_holder": {"한빛"}, "custom_data": {`{"a":1}`}}
	status, body := post(t, base+"/vbanks", "application/x-www-form-urlencoded", form.Encode(), s.token)
	var p Payment
	if decode(t, body, &p); status != 200 || p.MerchantUID != "폼" || p.Amount != 1000 || p.VbankCode != "088" || p.CustomData != `{"a":1}` {
		t.Errorf("HTTP %d, %+v", status, p)
	}
}

func TestUnknownPath(t *testing.T) {
	s, _, base := start(t, Config{})
	for _, path := range []string{"/", "/vbank", "/payments/find/", "/vbanks"} {
		if status, body := get(t, s, base, path); status != 404 || !strings.HasPrefix(string(body), "<html>") {
			t.Errorf("%s: HTTP %d, %s", path, status, body)
		}
	}
}

func TestOwnEndpoints(t *testing.T) {
	s, c, base := start(t, Config{})
	for i := range 500 { // more than one write
		issue(t, c, order(fmt.Sprint("주문", i%100)))
	}
	if status, _ := post(t, base+"/_sandbox/pay/"+s.Payments()[1].ImpUID, "", "", ""); status != 204 {
		t.Errorf("pay: HTTP %d", status)
	}
	if status, _ := post(t, base+"/_sandbox/pay/imp_0", "", "", ""); status != 404 {
		t.Errorf("pay of nothing: HTTP %d", status)
	}
	_, body := getAs(t, base+"/_sandbox/accounts", "")
	var accounts []struct {
		MerchantUID string `json:"merchant_uid"`
		ImpUID      string `json:"imp_uid"`
		Status      string `json:"status"`
		Amount      int64  `json:"amount"`
		VbankNum    string `json:"vbank_num"`
		VbankDue    int64  `json:"vbank_due"`
	}
	if err := json.Unmarshal(body, &accounts); err != nil || len(accounts) != 500 {
		t.Fatal(len(accounts), err)
	}
	for i, p := range s.Payments() {
		if a := accounts[i]; a.MerchantUID != p.MerchantUID || a.ImpUID != p.ImpUID || a.Status != p.Status || a.Amount != p.Amount ||
			a.VbankNum != p.VbankNum || a.VbankDue != p.VbankDate {
			t.Errorf("%+v, want %+v", a, p)
		}
	}
	if accounts[1].Status != "paid" {
		t.Error("not paid")
	}
	_, body = getAs(t, base+"/_sandbox/requests", "")
	var counts map[string]int
	if err := json.Unmarshal(body, &counts); err != nil || counts["POST /vbanks"] != 500 || counts["POST /users/getToken"] != 1 {
		t.Errorf("%s", body)
	}
}

func TestConcurrentIssuesAreAllKept(t *testing.T) {
	s, c, _ := start(t, Config{State: t.TempDir() + "/state"})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 50 {
				if _, err := c.Issue(t.Context(), order(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := len(s.Payments()); n != 400 || s.Ready("7") != 8 {
		t.Errorf("%d accounts, %d of one order", n, s.Ready("7"))
	}
}

func TestClosed(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, httptest.NewRequest("GET", "/_sandbox/accounts", nil)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("HTTP %d", w.Code)
	}
}

// get asks with a token that is good.
func get(t *testing.T, s *Sandbox, base, path string) (int, []byte) {
	t.Helper()
	if s.token == "" {
		post(t, base+"/users/getToken", "application/json", `{"imp_key":"key","imp_secret":"secret"}`, "")
	}
	return getAs(t, base+path, s.token)
}

func getAs(t *testing.T, address, token string) (int, []byte) {
	t.Helper()
	return send(t, http.MethodGet, address, "", "", token)
}

func post(t *testing.T, address, contentType, body, token string) (int, []byte) {
	t.Helper()
	return send(t, http.MethodPost, address, contentType, body, token)
}

func send(t *testing.T, method, address, contentType, body, token string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, reply
}

// decode reads an envelope's response.
func decode(t *testing.T, body []byte, response any) {
	t.Helper()
	if slices.ContainsFunc(body, func(b byte) bool { return b >= 0x80 }) {
		t.Errorf("the reply is not ASCII: %s", body)
	}
	wrapped := struct{ Response any }{response}
	if err := json.Unmarshal(body, &wrapped); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}
