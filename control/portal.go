package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Portal is a way to one captive portal, open as long as the client that asked
// for it holds its connection.
type Portal struct {
	PvD   string `json:"pvd"`
	URL   string `json:"url"`   // where a person logs in
	Proxy string `json:"proxy"` // host:port of an HTTP proxy into the domain
}

// portalRequest names a domain, "" the one that is captive.
type portalRequest struct {
	PvD string `json:"pvd"`
}

// PortalFunc opens the way to a domain's portal. serve keeps it open until ctx
// ends; it is called exactly once where err is nil.
type PortalFunc func(name string) (p Portal, serve func(ctx context.Context) error, err error)

// servePortal answers with a Portal and keeps it open until the client goes.
func servePortal(open PortalFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := question[portalRequest](r)
		if err != nil {
			reply(w, nil, err)
			return
		}
		p, serve, err := open(q.PvD)
		if err != nil {
			reply(w, nil, err)
			return
		}
		conn := http.NewResponseController(w)
		// A person takes longer than a request; neither fails on a unix socket.
		_ = conn.SetReadDeadline(time.Time{})
		_ = conn.SetWriteDeadline(time.Time{})
		reply(w, p, nil)
		_ = conn.Flush()
		_ = serve(r.Context())
	}
}

// OpenPortal opens the way to a domain's captive portal, of the only captive one
// where name is "". It stays open until the caller closes it or the daemon ends.
func (c *Client) OpenPortal(ctx context.Context, name string) (Portal, io.Closer, error) {
	patient := *c
	patient.http.Timeout = 0
	body, err := patient.send(ctx, http.MethodPost, "/v1/portal", portalRequest{name})
	if err != nil {
		return Portal{}, nil, err
	}
	var p Portal
	if err := json.NewDecoder(body).Decode(&p); err != nil {
		body.Close()
		return Portal{}, nil, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return p, body, nil
}
