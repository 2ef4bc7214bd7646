package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// ErrNotRunning says that no daemon answers for this network namespace.
var ErrNotRunning = errors.New("mifvif is not running (start it with: mifvif run)")

// Client asks a daemon. Make one with Dial.
type Client struct {
	http  http.Client
	path  string
	check bool // the daemon must be of our own namespace
}

// Dial returns a client of the daemon at path. Where the person named no path
// (named is false), the daemon must be the one of this network namespace, which
// may be served beside the usual place.
func Dial(path string, named bool) *Client {
	if own := beside(path); !named {
		if _, err := os.Stat(own); err == nil {
			path = own
		}
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{
		http:  http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: time.Minute},
		path:  path,
		check: !named,
	}
}

// Status asks for the status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.ask(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// PvDs asks for all domains with everything they hold.
func (c *Client) PvDs(ctx context.Context) ([]PvD, error) {
	var p []PvD
	return p, c.ask(ctx, http.MethodGet, "/v1/pvds", nil, &p)
}

// Flows asks for the live flows.
func (c *Client) Flows(ctx context.Context) ([]Flow, error) {
	var f []Flow
	return f, c.ask(ctx, http.MethodGet, "/v1/flows", nil, &f)
}

// Explain asks what was or would be decided.
func (c *Client) Explain(ctx context.Context, q Question) (Explanation, error) {
	var e Explanation
	return e, c.ask(ctx, http.MethodPost, "/v1/explain", q, &e)
}

// Resolve asks the resolver.
func (c *Client) Resolve(ctx context.Context, q NameQuestion) (Resolution, error) {
	var r Resolution
	return r, c.ask(ctx, http.MethodPost, "/v1/resolve", q, &r)
}

// Cache asks what each domain's cache holds.
func (c *Client) Cache(ctx context.Context) ([]CacheEntry, error) {
	var e []CacheEntry
	return e, c.ask(ctx, http.MethodGet, "/v1/cache", nil, &e)
}

// Drain drains a domain, or stops doing so.
func (c *Client) Drain(ctx context.Context, d Drain) error {
	return c.ask(ctx, http.MethodPost, "/v1/drain", d, &struct{}{})
}

// Rules asks for the rules in force.
func (c *Client) Rules(ctx context.Context) ([]RuleInForce, error) {
	var r []RuleInForce
	return r, c.ask(ctx, http.MethodGet, "/v1/rules", nil, &r)
}

// ChangeRules changes one's own rules.
func (c *Client) ChangeRules(ctx context.Context, change RuleChange) error {
	return c.ask(ctx, http.MethodPost, "/v1/rules", change, &struct{}{})
}

// Events calls f with each event from now on, until f or the stream fails, or ctx
// ends.
func (c *Client) Events(ctx context.Context, f func(Event) error) error {
	stream := *c
	stream.http.Timeout = 0
	body, err := stream.send(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	for lines := json.NewDecoder(body); ; {
		var e Event
		switch err := lines.Decode(&e); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the daemon has ended the stream")
		case err != nil:
			return fmt.Errorf("read the daemon's events: %w", err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
}

// Reload makes the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) error {
	return c.ask(ctx, http.MethodPost, "/v1/reload", struct{}{}, &struct{}{})
}

// ask sends one request and decodes the answer.
func (c *Client) ask(ctx context.Context, method, path string, question, answer any) error {
	body, err := c.send(ctx, method, path, question)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(answer); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// send sends one request and returns the body of a good answer, which the caller
// closes.
func (c *Client) send(ctx context.Context, method, path string, question any) (io.ReadCloser, error) {
	var body io.Reader
	if question != nil {
		b, err := json.Marshal(question)
		if err != nil {
			return nil, fmt.Errorf("encode the question: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://mifvif"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	if err := c.good(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// good returns what is wrong with an answer, or says what the daemon says.
func (c *Client) good(resp *http.Response) error {
	if err := c.own(resp); err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&f); err != nil || f.Error == "" {
		return fmt.Errorf("the daemon answered %s", resp.Status)
	}
	switch resp.StatusCode {
	case http.StatusBadRequest:
		return Mistake{errors.New(f.Error)}
	case http.StatusForbidden:
		return Refused{errors.New(f.Error)}
	}
	return errors.New(f.Error)
}

// own returns an error unless the daemon is the one that was meant.
func (c *Client) own(resp *http.Response) error {
	if c.check && resp.Header.Get(cookieHeader) != Cookie() {
		return fmt.Errorf("%w; the daemon at the usual socket is of another network namespace", ErrNotRunning)
	}
	return nil
}

// unreachable tells "nobody there" from "you may not".
func unreachable(err error) error {
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err // without how we asked, which nobody wants to know
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("no permission for the control socket (run as root, or join control.group): %w", err)
	}
	return fmt.Errorf("%w: %w", ErrNotRunning, err)
}
