package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"mifvif/pvd"
)

const apiType = "application/captive+json"

// apiState is what a captive portal API says, as far as it matters here (RFC
// 8908 5).
type apiState struct {
	Captive       bool
	UserPortalURL string // https, "" if it names none
}

// ask reads the API of d's network (RFC 8908 4). Whatever is wrong is an error:
// the network is then treated as one without an API.
func (w *watcher) ask(ctx context.Context, d *pvd.Domain, uri string) (apiState, error) {
	if u, err := url.Parse(uri); err != nil || u.Scheme != "https" || u.Host == "" {
		return apiState{}, errors.New("the API's URI is not https (RFC 8908 4)")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return apiState{}, fmt.Errorf("ask the captive portal API: %w", err)
	}
	req.Header.Set("Accept", apiType)
	resp, err := w.client(d).Do(req)
	if err != nil {
		return apiState{}, fmt.Errorf("ask the captive portal API: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return apiState{}, fmt.Errorf("the captive portal API answered %s", resp.Status)
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || t != apiType {
		return apiState{}, fmt.Errorf("the captive portal API answered with %q, not %s", resp.Header.Get("Content-Type"), apiType)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return apiState{}, fmt.Errorf("read the captive portal API's answer: %w", err)
	}
	return parseState(body)
}

// parseState reads the JSON of RFC 8908 section 5. "captive" is required; a
// portal URL that is not https counts as none.
func parseState(b []byte) (apiState, error) {
	var in struct {
		Captive       *bool  `json:"captive"`
		UserPortalURL string `json:"user-portal-url"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return apiState{}, fmt.Errorf("read the captive portal API's answer: %w", err)
	}
	if in.Captive == nil {
		return apiState{}, errors.New(`the captive portal API's answer has no "captive" (RFC 8908 5)`)
	}
	s := apiState{Captive: *in.Captive}
	if u, err := url.Parse(in.UserPortalURL); err == nil && u.Scheme == "https" && u.Host != "" {
		s.UserPortalURL = in.UserPortalURL
	}
	return s, nil
}
