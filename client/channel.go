package client

import (
	"context"
	"net/http"
)

// Channel is one PG contract of the account, as GET /users/pg lists it.
type Channel struct {
	PGProvider  Text `json:"pg_provider"`
	PGID        Text `json:"pg_id"` // MID
	Sandbox     Flag `json:"sandbox"`
	Type        Text `json:"type"`
	ChannelName Text `json:"channel_name"`
	ChannelKey  Text `json:"channel_key"`
}

// Channels lists the account's channels: GET /users/pg, of the vendor's later schema.
func (c *Client) Channels(ctx context.Context) ([]Channel, error) {
	var channels []Channel
	err := c.do(ctx, call{method: http.MethodGet, path: "/users/pg", endpoint: "/users/pg", look: true}, &channels)
	return channels, err
}
