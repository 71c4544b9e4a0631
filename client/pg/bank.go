package pg

import (
	"strings"

	"golang.org/x/text/width"
)

// Bank is a bank under the three digits KFTC gives it, and under the code that a PG knows it by.
type Bank struct{ KFTC, Name, Code string }

// banks are those that take deposits into virtual accounts, with the names people write, normalised as Normalize
// does. A bank that another has swallowed is a name of that other. 농협 alone is NongHyup Bank, as the PGs have it; the
// cooperatives, 지역농협, 단위농협 and 축협, are others, with a code of their own.
var banks = []struct{ kftc, name, names string }{
	{"002", "산업은행", "산업 한국산업 kdb kdb산업 koreadevelopment"},
	{"003", "기업은행", "기업 ibk ibk기업 중소기업 industrialofkorea"},
	{"004", "국민은행", "국민 kb kb국민 kookmin kbkookmin"},
	{"007", "수협은행", "수협 sh sh수협 suhyup shsuhyup"},
	{"011", "농협은행", "농협 nh nh농협 nonghyup nhnonghyup"},
	{"012", "지역농축협", "축협 지역농축협 농축협 지역농협 단위농협"},
	{"020", "우리은행", "우리 woori"},
	{"023", "SC제일은행", "sc sc제일 제일 스탠다드차타드 한국스탠다드차타드 standardchartered standardcharteredkorea sckorea scfirst"},
	{"027", "한국씨티은행", "씨티 한국씨티 시티 citi citikorea 한미"},
	{"031", "iM뱅크", "im 아이엠 대구 dgb dgb대구 im대구 daegu dgbdaegu"},
	{"032", "부산은행", "부산 bnk부산 busan bnkbusan"},
	{"034", "광주은행", "광주 gwangju kwangju"},
	{"035", "제주은행", "제주 jeju"},
	{"037", "전북은행", "전북 jb전북 jeonbuk jbjeonbuk"},
	{"039", "경남은행", "경남 bnk경남 kyongnam gyeongnam bnkkyongnam bnkgyeongnam"},
	{"045", "새마을금고", "새마을 새마을금고 mg mg새마을금고 새마을금고연합회 kfcc saemaul saemaulgeumgo mgsaemaulgeumgo"},
	{"048", "신협", "신협 신용협동조합 cu신협 shinhyup"},
	{"071", "우체국", "우체국 우체국예금 우체국예금보험 정보통신부우체국 우정사업본부 koreapost epost"},
	{"081", "하나은행", "하나 keb하나 하나외환 외환 keb외환 hana kebhana 005"},
	{"088", "신한은행", "신한 shinhan"},
	{"089", "케이뱅크", "케이 k"},
	{"090", "카카오뱅크", "카카오 kakao"},
	{"092", "토스뱅크", "토스 toss"},
}

var kftcByName = func() map[string]string {
	names := make(map[string]string)
	for _, b := range banks {
		names[b.kftc] = b.kftc
		for _, name := range strings.Fields(b.names) {
			names[name] = b.kftc
		}
	}
	return names
}()

var dropped = strings.NewReplacer("은행", "", "뱅크", "", "bank", "", "중앙회", "")

// Normalize makes the spellings of a bank's name equal: case, spaces, punctuation and the words 은행, 뱅크, bank and
// 중앙회 do not count.
func Normalize(text string) string { return dropped.Replace(Fold(text)) }

// BankByName returns the KFTC code of a bank by any of its names (국민, KB국민은행) or code forms (4, 04, 004, BK04).
// Numbers are always read as KFTC's: what daou alone means by 11 or 31 cannot be told from them.
func BankByName(text string) (kftc string, ok bool) {
	number := strings.ToLower(strings.TrimSpace(width.Fold.String(text))) // ④ is no number
	number = strings.TrimPrefix(number, "bk")
	if len(number) <= 3 && digits(number) {
		kftc, ok = kftcByName["000"[len(number):]+number]
		return kftc, ok
	}
	name := Normalize(text)
	if digits(name) { // 4.5, -4: what is left of it is no number that was written
		return "", false
	}
	kftc, ok = kftcByName[name]
	return kftc, ok
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// BankName is the name of a bank by its KFTC code, "" if there is none.
func BankName(kftc string) string {
	for _, b := range banks {
		if b.kftc == kftc {
			return b.name
		}
	}
	return ""
}

// Banks lists the banks of a PG's table with its own codes. An empty PG, or one without a table, gives every bank
// under its KFTC code; a PG that is not known gives nil.
func Banks(pg string) []Bank {
	if pg != "" && find(pg) == nil {
		return nil
	}
	var list []Bank
	for _, b := range banks {
		if code, listed := VbankCode(pg, b.kftc); listed {
			list = append(list, Bank{KFTC: b.kftc, Name: b.name, Code: code})
		}
	}
	return list
}

// VbankCode returns a bank's code in the form that a PG takes, "" where it has none for that bank. listed reports
// whether the PG's table names the bank; it is true where there is no table to ask. An empty or unknown PG takes
// KFTC's three digits.
func VbankCode(pg, kftc string) (code string, listed bool) {
	g := of(pg)
	code = kftc
	if g.form != nil {
		code = g.form(kftc)
	}
	return code, g.banks == "" || strings.Contains(g.banks, kftc)
}
