package pg

import (
	"fmt"
	"strings"
	"testing"
)

// The vendor's published tables, code=name, as they stand there.
const (
	kcpTable    = `BK04=KB국민은행 BK23=SC제일은행 BK39=경남은행 BK34=광주은행 BK03=기업은행 BK11=농협 BK31=대구은행 BK32=부산은행 BK02=산업은행 BK45=새마을금고 BK07=수협 BK88=신한은행 BK48=신협 BK81=하나(외환)은행 BK20=우리은행 BK71=우체국 BK37=전북은행 BK12=축협 BK90=카카오뱅크 BK89=케이뱅크 BK27=한국씨티은행 BK92=토스뱅크`
	inicisTable = `04=KB국민은행 23=SC제일은행 39=경남은행 34=광주은행 03=기업은행 11=농협 31=대구은행 32=부산은행 02=산업은행 45=새마을금고 07=수협 88=신한은행 48=신협 81=하나(외환)은행 20=우리은행 71=우체국 37=전북은행 12=축협 90=카카오뱅크 89=케이뱅크 27=한국씨티은행 92=토스뱅크`
	daouTable   = `04=KB국민은행 11=SC제일은행 03=기업은행 08=농협 15=부산은행 10=신한은행 09=우리은행 31=우체국 12=하나은행`
	sharedTable = `004=KB국민은행 023=SC제일은행 039=경남은행 034=광주은행 003=기업은행 011=농협 031=대구은행 032=부산은행 002=산업은행 045=새마을금고 007=수협 088=신한은행 048=신협 081=하나(외환)은행 020=우리은행 071=우체국 037=전북은행 012=축협 090=카카오뱅크 089=케이뱅크 027=한국씨티은행 092=토스뱅크`
	niceV2Table = `004=KB국민은행 023=SC제일은행 034=광주은행 003=기업은행 011=농협 031=대구은행 032=부산은행 088=신한은행 081=하나은행 020=우리은행 071=우체국 089=케이뱅크`
	welcomeList = `004=KB국민은행 034=광주은행 039=경남은행 003=기업은행 031=대구은행 032=부산은행 007=수협 088=신한은행 081=하나은행 020=우리은행 037=전북은행 089=케이뱅크`
)

func TestPublishedTables(t *testing.T) {
	tables := map[string]string{
		"kcp": kcpTable, "html5_inicis": inicisTable, "inicis": inicisTable, "daou": daouTable, "nice_v2": niceV2Table, "welcome": welcomeList,
		"uplus": sharedTable, "tosspayments": sharedTable, "danal": sharedTable, "nice": sharedTable, "kicc": sharedTable, "smartro": sharedTable, "settle": sharedTable,
	}
	for pg, table := range tables {
		entries := strings.Fields(table)
		for _, entry := range entries {
			code, name, _ := strings.Cut(entry, "=")
			kftc, ok := BankByName(name)
			if !ok {
				t.Errorf("%s: %s is not known", pg, name)
				continue
			}
			if got, listed := VbankCode(pg, kftc); got != code || !listed {
				t.Errorf("VbankCode(%s, %s) = %q, %t, want %q as listed", pg, kftc, got, listed, code)
			}
		}
		if got := len(Banks(pg)); got != len(entries) {
			t.Errorf("%s lists %d banks, its table %d", pg, got, len(entries))
		}
	}
	for _, pg := range []string{"", "ksnet", "smartro_v2", "jtnet"} {
		if got := len(Banks(pg)); got != len(banks) {
			t.Errorf("Banks(%q) lists %d of %d banks", pg, got, len(banks))
		}
		if code, listed := VbankCode(pg, "004"); code != "004" || !listed {
			t.Errorf("VbankCode(%q, 004) = %q, %t", pg, code, listed)
		}
	}
	if Banks("nobody") != nil {
		t.Error("an unknown PG lists banks")
	}
}

func TestVbankCodeNotListed(t *testing.T) {
	for _, c := range []struct{ pg, kftc, want string }{
		{"nice_v2", "090", "090"}, {"kcp", "035", "BK35"}, {"html5_inicis.MID", "035", "35"}, {"daou", "031", ""}, {"daou.X", "090", ""},
	} {
		if code, listed := VbankCode(c.pg, c.kftc); code != c.want || listed {
			t.Errorf("VbankCode(%s, %s) = %q, %t, want %q, not listed", c.pg, c.kftc, code, listed, c.want)
		}
	}
}

func TestBankByName(t *testing.T) {
	names := map[string]string{
		"002": "산업 KDB 산업은행 KDB산업은행", "003": "기업 IBK 중소기업 IBK기업은행", "004": "국민 KB KB국민 KB국민은행 4 04 004 BK04 bk04 ＫＢ국민",
		"007": "수협 Sh Sh수협은행 수협중앙회", "011": "농협 NH NH농협은행 농협중앙회 11", "012": "축협 지역농축협 지역농.축협", "020": "우리", "023": "SC SC제일 제일은행",
		"027": "씨티 한국씨티은행 Citibank", "031": "대구 DGB 아이엠뱅크 iM iM뱅크 IM뱅크 DGB대구은행", "032": "부산 BNK부산은행", "034": "광주", "035": "제주은행", "037": "전북",
		"039": "경남 BNK경남", "045": "새마을금고 MG 새마을금고중앙회", "048": "신협 신협중앙회", "071": "우체국 우체국예금보험", "081": "하나 KEB하나은행 외환 하나(외환)은행 005 81",
		"088": "신한 88 088", "089": "케이 K K뱅크 케이뱅크 Kbank", "090": "카카오뱅크 카카오", "092": "토스 토스뱅크",
	}
	for want, texts := range names {
		for _, text := range strings.Fields(texts) {
			if got, ok := BankByName(text); got != want || !ok {
				t.Errorf("BankByName(%q) = %q, %t, want %s", text, got, ok, want)
			}
		}
	}
	for text, want := range map[string]string{
		"Korea Development Bank": "002", "Industrial Bank of Korea": "003", "KB Kookmin Bank": "004", "Suhyup Bank": "007", "NH Nonghyup": "011", "NH Bank": "011", "농협은행(중앙회)": "011", "농협중앙회": "011",
		"지역농협": "012", "단위농협": "012", "농축협": "012", "Woori Bank": "020", "Standard Chartered Bank Korea": "023", "SC Bank": "023", "Citibank Korea": "027", "iM Bank": "031", "Daegu Bank": "031", "BNK Busan Bank": "032",
		"Kwangju Bank": "034", "Jeju Bank": "035", "JB전북은행": "037", "Jeonbuk Bank": "037", "Kyongnam Bank": "039", "새마을금고중앙회": "045", "MG": "045", "신용협동조합": "048", "신협중앙회": "048", "우정사업본부": "071", "우체국예금": "071",
		"Korea Post": "071", "KEB Hana Bank": "081", "Shinhan Bank": "088", "K bank": "089", "Kakao Bank": "090", "KakaoBank": "090", "Toss Bank": "092",
	} {
		if got, ok := BankByName(text); got != want || !ok {
			t.Errorf("BankByName(%q) = %q, %t, want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "은행", "행복은행", "999", "0", "000", "0004", "BK", "BK999", "6", "국민연금", "JB", "지역수협", "한국", "농협생명", "저축은행", "신한금융투자", "-4", "4.5", "BK-4", "은행4"} {
		if got, ok := BankByName(text); ok {
			t.Errorf("BankByName(%q) = %s", text, got)
		}
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct {
		value, pg, mid string
		known          bool
		send           string
	}{
		{"nice", "nice", "", true, "nice"},
		{"nice.MID1", "nice", "MID1", true, "nice.MID1"},
		{"NICE.Mid.1", "nice", "Mid.1", true, "nice.Mid.1"},
		{"inicis.INIpayTest", "html5_inicis", "INIpayTest", true, "inicis.INIpayTest"},
		{"html5_inicis.INIpayTest", "html5_inicis", "INIpayTest", true, "html5_inicis.INIpayTest"},
		{"KG이니시스.M", "html5_inicis", "M", true, "inicis.M"},
		{"KG INICIS", "html5_inicis", "", true, "html5_inicis"},
		{"Settle Bank", "settle", "", true, "settle"},
		{"세틀뱅크", "settle", "", true, "settle"},
		{"헥토파이낸셜", "settle", "", true, "settle"},
		{"(신)나이스페이", "nice_v2", "", true, "nice_v2"},
		{"나이스페이먼츠", "nice", "", true, "nice"},
		{"(구)토스페이먼츠", "uplus", "", true, "uplus"},
		{"TOSS Payments", "tosspayments", "", true, "tosspayments"},
		{"NHN KCP", "kcp", "", true, "kcp"},
		{"이지페이 KICC", "kicc", "", true, "kicc"},
		{"키움페이", "daou", "", true, "daou"},
		{"스마트로", "스마트로", "", false, "스마트로"},
		{"nicee.M", "nicee", "M", false, "nicee.M"},
		{"", "", "", false, ""},
	} {
		pg, mid, known := Name(c.value)
		if pg != c.pg || mid != c.mid || known != c.known {
			t.Errorf("Name(%q) = %q, %q, %t", c.value, pg, mid, known)
		}
		if got := Value(c.value); got != c.send {
			t.Errorf("Value(%q) = %q, want %q", c.value, got, c.send)
		}
	}
}

func TestRules(t *testing.T) {
	for _, pg := range append(PGs(), "", "nobody") {
		if got, want := NeedsAPIKey(pg+".M"), pg == "html5_inicis"; got != want {
			t.Errorf("NeedsAPIKey(%s) = %t", pg, got)
		}
		if got, want := RequiresHolder(pg), pg != "tosspayments" && pg != "ksnet" && pg != "welcome" && pg != "nice_v2"; got != want {
			t.Errorf("RequiresHolder(%s) = %t", pg, got)
		}
		if got, want := WantsDue(pg), pg == "settle"; got != want {
			t.Errorf("WantsDue(%s) = %t", pg, got)
		}
	}
	if !NeedsAPIKey("inicis.M") {
		t.Error("inicis is Inicis")
	}
}

func TestPassing(t *testing.T) {
	for _, c := range []struct {
		pg, words string
		want      bool
	}{
		{"nice", "[4116] 은행 시스템 점검 중입니다. 잠시 후 다시 시도해 주세요.", true},
		{"nice.MID1", "4008:은행 거래 시간이 아닙니다", true},
		{"나이스페이먼츠", "결과코드(2159)", true},
		{"inicis.MID", "[504954] 잠시 후 다시 시도", true},
		{"kcp", "8321", true},
		{"kcp", "8327", false},
		{"settle", "RA88 은행 장애", true},
		{"settle", "CA01", true},
		{"", "[8326] 은행 점검", true},
		{"smartro", "[8326] 은행 점검", false}, // another PG's code
		{"nice", "41160원은 발급할 수 없습니다", false},
		{"nice", "[A107] 입금예정일이 지났습니다", false},
		{"nice", "", false},
		{"", "ra88", false},
	} {
		if got := Passing(c.pg, c.words); got != c.want {
			t.Errorf("%s says %s: %v", c.pg, c.words, got)
		}
	}
}

func ExampleVbankCode() {
	kftc, _ := BankByName("KB국민은행")
	for _, pg := range []string{"nice", "inicis.MID1", "kcp"} {
		code, _ := VbankCode(pg, kftc)
		fmt.Println(pg, code)
	}
	// Output:
	// nice 004
	// inicis.MID1 04
	// kcp BK04
}
