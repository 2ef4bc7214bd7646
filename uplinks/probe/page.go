package probe

import (
	"context"
	"io"
	"net/http"

	"mifvif/pvd"
)

// fetch asks for a page of which it is known that it answers 204 with nothing
// in it. Silence is no Internet; any other answer is somebody else's, who stands
// between (status 511 says so itself, RFC 6585 6).
func (w *watcher) fetch(ctx context.Context, d *pvd.Domain, page string) pvd.Verdict {
	none := pvd.Verdict{Connectivity: pvd.None, Reason: reasonSilent}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return none
	}
	req.Header.Set("User-Agent", "mifvif")
	resp, err := w.client(d).Do(req)
	if err != nil {
		w.log.Debug("the probe got no answer", "pvd", d.Name, "url", page, "error", err)
		return none
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		if n, err := resp.Body.Read(make([]byte, 1)); n == 0 && err == io.EOF {
			return pvd.Verdict{Connectivity: pvd.Full, Reason: reasonReached}
		}
	}
	if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNetworkAuthenticationRequired {
		return none
	}
	return pvd.Verdict{Connectivity: pvd.Portal, Reason: reasonLogin, PortalURL: portalOf(resp, page)}
}

// portalOf returns where the answer sends a person to: the place of a redirect,
// or the page itself, in whose stead the portal has answered.
func portalOf(resp *http.Response, page string) string {
	if to, err := resp.Location(); err == nil && (to.Scheme == "http" || to.Scheme == "https") {
		return to.String()
	}
	return page
}
