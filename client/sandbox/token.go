package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"
)

func (s *Sandbox) authorized(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return token != "" && token == s.token && s.config.Clock().Before(s.tokenUntil)
}

func (s *Sandbox) dropToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
}

// getToken hands out the token that lives, prolonged when it is about to end, or a new one: POST /users/getToken.
func (s *Sandbox) getToken(q *request) reply {
	key, secret := q.fields["imp_key"], q.fields["imp_secret"]
	if key == "" || secret == "" {
		return failure(invalid("imp_key, imp_secret 파라메터가 누락되었습니다."))
	}
	if (s.config.Key != "" || s.config.Secret != "") && (key != s.config.Key || secret != s.config.Secret) {
		return problem(http.StatusUnauthorized, -1, "인증에 실패하였습니다. API키와 secret을 확인하세요.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Clock()
	switch left := s.tokenUntil.Sub(now); {
	case s.token == "" || left <= 0:
		value := make([]byte, 20)
		rand.Read(value) // never fails
		s.token, s.tokenUntil = hex.EncodeToString(value), now.Add(s.config.TokenLife)
	case left < time.Minute:
		s.tokenUntil = s.tokenUntil.Add(5 * time.Minute)
	}
	return ok(fmt.Appendf(nil, `{"access_token":%q,"now":%d,"expired_at":%d}`, s.token, now.Unix(), s.tokenUntil.Unix()))
}
