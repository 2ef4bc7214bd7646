package config

import (
	"net/url"
	"time"

	"mifvif/pvd"
)

// Bounds of check.interval: oftener disturbs the network, more seldom is no
// check.
const (
	minInterval = time.Second
	maxInterval = 24 * time.Hour
)

// check reads how a domain is validated.
func (r *reader) check(at string, in *rawCheck) pvd.Check {
	if in == nil {
		return pvd.Check{}
	}
	c := pvd.Check{URL: in.URL}
	if u, err := url.Parse(in.URL); in.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		r.at(at+".url", "check: %q is no page to ask for (such as http://probe.example.net/generate_204)", in.URL)
	}
	if in.Interval == "" {
		return c
	}
	d, err := time.ParseDuration(in.Interval)
	if err != nil || d < minInterval || d > maxInterval {
		r.at(at+".interval", "check: %q is no interval (1s to 24h, such as 5s)", in.Interval)
	}
	c.Interval = d
	return c
}
