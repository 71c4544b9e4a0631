package sandbox

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vbankbatch/client"
	"vbankbatch/client/pg"
)

// good is an issue that a PG takes and has nothing to ignore in.
func good(provider string) client.IssueRequest {
	r := client.IssueRequest{
		MerchantUID: "A1", Amount: 11000, VbankDue: noon.Add(3*time.Hour - time.Second).Unix(), // the end of the day in Seoul
		BuyerName: "홍길동", BuyerEmail: "hong@example.com", BuyerTel: "01000001234", PG: provider,
	}
	r.VbankCode, _ = pg.VbankCode(provider, "004")
	if !slices.Contains([]string{"tosspayments", "ksnet", "welcome"}, provider) {
		r.VbankHolder = "한빛상사"
	}
	switch provider {
	case "html5_inicis":
		r.PG, r.PGAPIKey = "inicis.M", "key"
	case "ksnet":
		r.ProductType = "real"
	}
	return r
}

// TestEveryPGIssues makes an account at every PG, chosen by pg and by channel_key.
func TestEveryPGIssues(t *testing.T) {
	_, c, _ := start(t, Config{})
	for _, provider := range pg.PGs() {
		request := good(provider)
		byPG := issue(t, c, request)
		request.PG, request.ChannelKey = "", "channel-key-"+provider
		byKey := issue(t, c, request)
		for _, p := range []client.Payment{byPG, byKey} {
			if string(p.PGProvider) != provider || string(p.VbankHolder) != request.VbankHolder || int64(p.VbankDate) != request.VbankDue ||
				p.VbankCode != "004" || p.Status != client.StatusReady {
				t.Errorf("%s: %+v", provider, p)
			}
		}
	}
}

// TestEveryPGRefuses breaks the rules of every PG one by one; what the API itself asks of every PG is in TestIssueRefused.
func TestEveryPGRefuses(t *testing.T) {
	_, c, _ := start(t, Config{DefaultPG: "tosspayments"})
	day := int64(24 * 60 * 60)
	zero := int64(0)
	const all = "settle nice nice_v2 html5_inicis kcp uplus tosspayments kicc smartro smartro_v2 ksnet welcome jtnet danal daou"
	for _, test := range []struct {
		name    string
		refuse  string // the PGs that do; the others make an account
		change  func(*client.IssueRequest)
		message string
	}{
		{"no vbank_holder", "settle nice html5_inicis kcp uplus kicc smartro smartro_v2 jtnet danal daou", func(r *client.IssueRequest) { r.VbankHolder = "" }, "vbank_holder"},
		{"no buyer_name", "html5_inicis tosspayments smartro_v2 ksnet welcome", func(r *client.IssueRequest) { r.BuyerName = "" }, "buyer_name"},
		{"no buyer_email", "html5_inicis smartro_v2", func(r *client.IssueRequest) { r.BuyerEmail = "" }, "buyer_email"},
		{"no buyer_tel", "smartro_v2", func(r *client.IssueRequest) { r.BuyerTel = "" }, "buyer_tel"},
		{"no product_type", "ksnet", func(r *client.IssueRequest) { r.ProductType = "" }, "product_type"},
		{"product_type of its own", "ksnet", func(r *client.IssueRequest) { r.ProductType = "food" }, "product_type"},
		{"no pg_api_key", "html5_inicis", func(r *client.IssueRequest) { r.PGAPIKey = "" }, "hashData 불일치"},
		{"merchant_uid with a sign", "smartro_v2", func(r *client.IssueRequest) { r.MerchantUID = "A-1" }, "merchant_uid"},
		{"due in the past", all, func(r *client.IssueRequest) { r.VbankDue = noon.Unix() }, "[A107]"},
		{"due in 30 days", "", func(r *client.IssueRequest) { r.VbankDue += 30 * day }, ""},
		{"due in 31 days", "tosspayments", func(r *client.IssueRequest) { r.VbankDue += 31 * day }, "vbank_due"},
		{"due in 366 days", "settle tosspayments", func(r *client.IssueRequest) { r.VbankDue += 366 * day }, "vbank_due"},
		{"1 won", "welcome", func(r *client.IssueRequest) { r.Amount = 1 }, "amount"},
		{"vat_amount above a tenth", "ksnet welcome", func(r *client.IssueRequest) { r.VatAmount = new(r.Amount/10 + 1) }, "vat_amount"},
		{"tax_free", "ksnet", func(r *client.IssueRequest) { r.TaxFree = &zero }, "tax_free"},
		{"long name", all, func(r *client.IssueRequest) { r.Name = strings.Repeat("가", 41) }, "name"},
		{"long vbank_holder", all, func(r *client.IssueRequest) { r.VbankHolder = strings.Repeat("가", 17) }, "vbank_holder"},
		{"long buyer_name", all, func(r *client.IssueRequest) { r.BuyerName = strings.Repeat("가", 17) }, "buyer_name"},
		{"long buyer_email", all, func(r *client.IssueRequest) { r.BuyerEmail = strings.Repeat("a", 65) }, "buyer_email"},
		{"long buyer_tel", all, func(r *client.IssueRequest) { r.BuyerTel = strings.Repeat("0", 17) }, "buyer_tel"},
		{"long buyer_addr", all, func(r *client.IssueRequest) { r.BuyerAddr = strings.Repeat("가", 129) }, "buyer_addr"},
		{"long buyer_postcode", all, func(r *client.IssueRequest) { r.BuyerPostcode = "123456789" }, "buyer_postcode"},
		{"long vbank_key", all, func(r *client.IssueRequest) { r.VbankKey = strings.Repeat("1", 14) }, "vbank_key"},
		{"long business_registration_number", all, func(r *client.IssueRequest) { r.BusinessRegistrationNumber = "12345678901" }, "business_registration_number"},
		{"an account of its own, without a number", "settle", func(r *client.IssueRequest) { r.FixedUnlimitedVbank = true }, "vbank_num"},
		{"an account of its own, with tax_free", "settle ksnet", func(r *client.IssueRequest) {
			r.FixedUnlimitedVbank, r.VbankNum, r.TaxFree = true, "01234567890123", &zero
		}, "tax_free"},
		// what is but warned of
		{"long in bytes", "", func(r *client.IssueRequest) { r.Name = strings.Repeat("가", 40) }, ""},
		{"not in EUC-KR", "", func(r *client.IssueRequest) { r.Name = "😀" }, ""},
		{"2,000,000 won", "", func(r *client.IssueRequest) { r.Amount = 2_000_000 }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			refusing := 0
			for _, provider := range pg.PGs() {
				request := good(provider)
				test.change(&request)
				_, err := c.Issue(t.Context(), request)
				if !slices.Contains(strings.Fields(test.refuse), provider) {
					if err != nil {
						t.Errorf("%s: %v", provider, err)
					}
					continue
				}
				refusing++
				wantError(t, err, client.Refused, 200, 1, test.message)
				request.PG, request.ChannelKey = "", "channel-key-"+provider
				if _, err := c.Issue(t.Context(), request); client.KindOf(err) != client.Refused {
					t.Errorf("%s by its channel_key: %v", provider, err)
				}
			}
			if refusing != len(strings.Fields(test.refuse)) {
				t.Errorf("%d PGs of %s", refusing, test.refuse)
			}
		})
	}
	request := good("")
	request.VbankDue += 31 * day
	_, err := c.Issue(t.Context(), request)
	wantError(t, err, client.Refused, 200, 1, "tosspayments")
}

// TestUnnamedDefault: of a default PG that the sandbox was not told the rules are the documents'.
func TestUnnamedDefault(t *testing.T) {
	_, c, _ := start(t, Config{})
	request := good("")
	request.VbankDue += 9999 * 24 * 60 * 60
	if p := issue(t, c, request); p.PGProvider != "settle" {
		t.Errorf("got %s", p.PGProvider)
	}
	request.VbankHolder = ""
	_, err := c.Issue(t.Context(), request)
	wantError(t, err, client.Refused, 200, 1, "vbank_holder")
	_, c, _ = start(t, Config{DefaultPG: "inicis"})
	_, err = c.Issue(t.Context(), good(""))
	wantError(t, err, client.Refused, 200, 1, "hashData")
}

// TestWhatAPGMakesOfIt has due dates that a PG keeps in part, holders that it puts its own in place of, and numbers of
// fixed accounts.
func TestWhatAPGMakesOfIt(t *testing.T) {
	_, c, _ := start(t, Config{})
	for _, provider := range pg.PGs() {
		request := good(provider)
		due := request.VbankDue
		request.VbankDue, request.VbankHolder, request.VbankNum = due-90, "한빛", "0012345"
		kept, holder, num := due-90, "한빛", ""
		switch provider {
		case "settle":
			num = "0012345"
		case "smartro_v2":
			kept, num = due, "0012345"
		case "tosspayments", "ksnet":
			holder = ""
		case "welcome":
			kept, holder = due-60, ""
		}
		p := issue(t, c, request)
		if int64(p.VbankDate) != kept || string(p.VbankHolder) != holder || (string(p.VbankNum) == "0012345") != (num != "") {
			t.Errorf("%s: due %d, holder %q, number %s; want %d, %q, %q", provider, p.VbankDate, p.VbankHolder, p.VbankNum, kept, holder, num)
		}
		if provider == "nice_v2" { // takes no update
			continue
		}
		later := int64(24 * 60 * 60)
		if p, err := c.Update(t.Context(), string(p.ImpUID), client.UpdateRequest{VbankDue: due - 90 + later}); err != nil || int64(p.VbankDate) != kept+later {
			t.Errorf("%s: updated to %d, %v; want %d", provider, p.VbankDate, err, kept+later)
		}
	}
	request := good("settle")
	request.FixedUnlimitedVbank, request.VbankNum, request.Amount, request.VbankKey = true, "0012345", 0, "unused"
	if p := issue(t, c, request); p.Amount != 0 || p.VbankNum != "0012345" {
		t.Errorf("got %+v", p)
	}
	request.PG = "nice"
	_, err := c.Issue(t.Context(), request)
	wantError(t, err, client.Refused, 200, 1, "amount")
}

func TestEveryPGUpdates(t *testing.T) {
	path := t.TempDir() + "/state"
	_, c, _ := start(t, Config{State: path})
	for _, provider := range pg.PGs() {
		id := string(issue(t, c, good(provider)).ImpUID)
		p, err := c.Update(t.Context(), id, client.UpdateRequest{Amount: 22000, VbankDue: good(provider).VbankDue})
		if provider == "nice_v2" {
			wantError(t, err, client.Refused, 200, 1, "nice_v2")
			continue
		}
		if err != nil || p.Amount != 22000 {
			t.Errorf("%s: got %d, %v", provider, p.Amount, err)
		}
		_, err = c.Update(t.Context(), id, client.UpdateRequest{VbankDue: noon.Unix()})
		wantError(t, err, client.Refused, 200, 1, "[A107]")
		if _, err = c.Update(t.Context(), id, client.UpdateRequest{Amount: 1}); (err != nil) != (provider == "welcome") {
			t.Errorf("%s, 1 won: %v", provider, err)
		}
	}
	// an account that was issued tax-free, which a new process must know too
	zero := int64(0)
	issued := make(map[string]string)
	for _, provider := range []string{"settle", "nice"} {
		request := good(provider)
		request.TaxFree = &zero
		issued[provider] = string(issue(t, c, request).ImpUID)
	}
	_, again, _ := start(t, Config{State: path})
	for _, c := range []*client.Client{c, again} {
		_, err := c.Update(t.Context(), issued["settle"], client.UpdateRequest{Amount: 22000})
		wantError(t, err, client.Refused, 200, 1, "tax_free")
		if _, err := c.Update(t.Context(), issued["nice"], client.UpdateRequest{Amount: 22000}); err != nil {
			t.Error(err)
		}
	}
}

func TestEveryPGRevokes(t *testing.T) {
	s, c, _ := start(t, Config{PGAPIKey: "key"})
	for _, provider := range pg.PGs() {
		id := string(issue(t, c, good(provider)).ImpUID)
		_, err := c.Revoke(t.Context(), id, client.RevokeRequest{})
		if provider == "html5_inicis" {
			wantError(t, err, client.Refused, 200, 1, "hashData 불일치")
			_, err = c.Revoke(t.Context(), id, client.RevokeRequest{PGAPIKey: "key"})
		}
		if err != nil || s.Ready("A1") != 0 {
			t.Errorf("%s: %v, %d ready", provider, err, s.Ready("A1"))
		}
	}
}
