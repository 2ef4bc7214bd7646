package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"

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
				return w.dial(ctx, d, network, host)
			},
			TLSClientConfig:        &tls.Config{RootCAs: w.cfg.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxBody,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dial connects to the first address of a host that answers in d.
func (w *watcher) dial(ctx context.Context, d *pvd.Domain, network, host string) (net.Conn, error) {
	name, text, err := net.SplitHostPort(host)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", host, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", host, err)
	}
	addrs := []netip.Addr{}
	if a, err := netip.ParseAddr(name); err == nil {
		addrs = append(addrs, a)
	} else if addrs, err = w.cfg.Lookup(ctx, d, name); err != nil {
		return nil, err
	}
	failure := fmt.Errorf("%s has no address in %s", name, d.Name)
	for _, a := range addrs {
		c, err := w.cfg.Dial(ctx, d, network, netip.AddrPortFrom(a, uint16(port)))
		if err == nil {
			return c, nil
		}
		failure = errors.Join(failure, err)
	}
	return nil, failure
}
