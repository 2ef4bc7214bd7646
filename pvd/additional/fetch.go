package additional

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"mifvif/pvd"
)

const (
	mediaType    = "application/pvd+json"
	wellKnown    = "/.well-known/pvd"
	maxRedirects = 5
	fetchWithin  = 10 * time.Second
)

// fetch asks d's server for the object and checks it.
func (f *Fetcher) fetch(ctx context.Context, d *pvd.Domain) (*object, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+d.ID+wellKnown, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the additional information: %w", err)
	}
	req.Header.Set("Accept", mediaType)
	resp, err := f.client(d).Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for the additional information: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, fmt.Errorf("asked for the additional information, the server answered %s", resp.Status)
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || t != mediaType {
		return nil, fmt.Errorf("the additional information is %q, not %s", resp.Header.Get("Content-Type"), mediaType)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the additional information: %w", err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("the additional information is longer than %d bytes", maxBody)
	}
	o, err := parse(body, d.ID, time.Now())
	if err != nil {
		return nil, err
	}
	if !o.covers(d) {
		return nil, errUncovered
	}
	return o, nil
}

var errUncovered = errors.New("a router advertises a prefix that the additional information does not cover")

// client returns an HTTP client all of whose connections are inside d. The
// certificate has to name the id itself (RFC 8801 4.1), that of a server to which
// a redirect leads its own name.
func (f *Fetcher) client(d *pvd.Domain) *http.Client {
	verify := func(s tls.ConnectionState) error {
		if pvd.CanonicalName(s.ServerName) != d.ID {
			return nil
		}
		for _, name := range s.PeerCertificates[0].DNSNames {
			if pvd.CanonicalName(name) == d.ID {
				return nil
			}
		}
		return errors.New("the certificate does not name the domain")
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, host string) (net.Conn, error) {
				return f.cfg.Dial(ctx, d, network, host)
			},
			TLSClientConfig:        &tls.Config{RootCAs: f.cfg.Roots, MinVersion: tls.VersionTLS12, VerifyConnection: verify},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxBody,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case req.URL.Scheme != "https":
				return errors.New("a redirect leads away from https")
			case len(via) > maxRedirects:
				return errors.New("too many redirects")
			}
			return nil
		},
	}
}

// hosted reports whether an id can be the host of a URL.
func hosted(id string) bool { return isName(id) && strings.Contains(id, ".") }
