package probe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"mifvif/pvd"
)

// maxBody bounds what is read of any answer, in bytes.
const maxBody = 64 << 10

// client returns an HTTP client all of whose connections are inside d; it keeps
// none and follows no redirect.
func (w *watcher) client(d *pvd.Domain) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, host string) (net.Conn, error) {
				return w.cfg.DialHost(ctx, d, network, host)
			},
			TLSClientConfig:        &tls.Config{RootCAs: w.cfg.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxBody,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
