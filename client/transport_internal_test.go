package client

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestHTTP1 meets a server that would rather speak HTTP/2, which has more ways to send a request again.
func TestHTTP1(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	through := transport(Config{Workers: 1})
	through.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	through.TLSClientConfig.NextProtos = nil
	defer through.CloseIdleConnections()
	response, err := (&http.Client{Transport: through}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != 1 {
		t.Error(response.Proto)
	}
}
