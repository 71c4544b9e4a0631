package pg

import "testing"

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
