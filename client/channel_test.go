package client_test

import (
	"slices"
	"testing"

	"vbankbatch/client"
	"vbankbatch/client/pg"
	"vbankbatch/client/sandbox"
)

// channels asks a sandbox without a socket.
func channels(t *testing.T, config sandbox.Config) ([]client.Channel, error) {
	t.Helper()
	api, err := sandbox.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	return connect(t, client.Config{Through: api.Transport()}).Channels(t.Context())
}

func TestChannels(t *testing.T) {
	list, err := channels(t, sandbox.Config{TestChannel: true})
	if err != nil || len(list) != len(pg.PGs()) {
		t.Fatalf("%d channels, %v", len(list), err)
	}
	want := client.Channel{PGProvider: "nice", PGID: "sandbox_nice", Sandbox: true, Type: "PAYMENT", ChannelName: "sandbox nice", ChannelKey: "channel-key-nice"}
	if !slices.Contains(list, want) {
		t.Errorf("%+v is not among %+v", want, list)
	}
	if none, err := channels(t, sandbox.Config{Channels: []client.Channel{}}); err != nil || len(none) != 0 {
		t.Errorf("an account without channels: %+v, %v", none, err)
	}
	own := []client.Channel{{PGProvider: "kcp", PGID: "T0000", ChannelName: `가/"나"`, ChannelKey: "channel-key-1"}, {PGProvider: "nice", ChannelKey: "channel-key-2"}}
	if list, err := channels(t, sandbox.Config{Channels: own}); err != nil || !slices.Equal(list, own) {
		t.Errorf("got %+v, %v, want %+v", list, err, own)
	}
}

func TestChannelsAsTheyCome(t *testing.T) {
	c := serve(t, reply(200, `{"code":0,"message":null,"response":[{"pg_provider":"nice","pg_id":7,"sandbox":1,"type":null,"channel_name":null,"new":[]}]}`))
	list, err := c.Channels(t.Context())
	if want := []client.Channel{{PGProvider: "nice", PGID: "7", Sandbox: true}}; err != nil || !slices.Equal(list, want) {
		t.Errorf("got %+v, %v", list, err)
	}
	for body, kind := range map[string]client.Kind{
		`{"code":0,"message":null,"response":null}`:         client.Malformed,
		`{"code":0,"message":null,"response":{"list":[]}}`:  client.Malformed,
		`{"code":-1,"message":"권한이 없습니다.","response":null}`: client.Refused,
	} {
		if _, err := serve(t, reply(200, body)).Channels(t.Context()); client.KindOf(err) != kind {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := serve(t, reply(401, `{"code":-1,"message":"Unauthorized","response":null}`)).Channels(t.Context()); client.KindOf(err) != client.Unauthorized {
		t.Errorf("401: %v", err)
	}
}
