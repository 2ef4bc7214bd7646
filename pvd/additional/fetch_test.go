package additional

import (
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mifvif/pvd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFetch asks a real HTTPS server, whose certificate is for example.com.
func TestFetch(t *testing.T) {
	body := func(id string) string {
		return about("PvD.example.com", id, "2026-11-25T12:00:00Z", time.Now().Add(time.Hour).Format(time.RFC3339))
	}
	object := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = io.WriteString(w, body("example.com"))
	}
	for _, tt := range []struct {
		name    string
		id      string
		handler http.HandlerFunc
		ok      bool
	}{
		{"in order", "example.com", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != wellKnown || r.Header.Get("Accept") != mediaType || r.Host != "example.com" {
				t.Errorf("asked for %s %s as %s", r.Host, r.URL.Path, r.Header.Get("Accept"))
			}
			object(w, r)
		}, true},
		{"a redirect inside https", "example.com", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wellKnown {
				http.Redirect(w, r, "https://example.com/elsewhere", http.StatusFound)
				return
			}
			object(w, r)
		}, true},
		{"a redirect to http", "example.com", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/elsewhere", http.StatusFound)
		}, false},
		{"redirects without end", "example.com", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/"+r.URL.Path+"x", http.StatusFound)
		}, false},
		{"another name than the certificate's", "other.example", object, false},
		{"a name that only a wildcard covers", "a.example.com", object, false},
		{"404", "example.com", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, false},
		{"another type", "example.com", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body("example.com"))
		}, false},
		{"huge", "example.com", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = io.WriteString(w, body("example.com")+strings.Repeat(" ", maxBody))
		}, false},
		{"an uncovered prefix", "example.com", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = io.WriteString(w, strings.ReplaceAll(body("example.com"), "2001:db8:1::/48", "2001:db8:7::/48"))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(tt.handler)
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			server.StartTLS()
			defer server.Close()
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			f, err := New(Config{
				Dial: func(ctx context.Context, d *pvd.Domain, network, host string) (net.Conn, error) {
					if d.Name != "the domain" || !strings.HasSuffix(host, ":443") {
						t.Errorf("dialled %s on %s", host, d.Name)
					}
					return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
				},
				Deliver: func(pvd.Report) {}, Roots: roots,
			}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			o, err := f.fetch(t.Context(), offering(1, func(d *pvd.Domain) { d.ID, d.Name = tt.id, "the domain" }))
			if (err == nil) != tt.ok {
				t.Errorf("got %+v, %v", o, err)
			}
		})
	}
}
