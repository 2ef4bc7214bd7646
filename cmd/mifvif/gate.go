package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mifvif/control"
	"mifvif/pvd"
	"mifvif/uplinks/portal"
)

// anyPage leads to the portal of a network that answers for every name, and
// nowhere else (RFC 6761 6.4).
const anyPage = "http://portal.invalid/"

// portal opens the way to a captive domain, the only one where name is "".
func (d *daemon) portal(name string) (control.Portal, func(context.Context) error, error) {
	on, err := captive(d.current.Load(), name)
	if err != nil {
		return control.Portal{}, nil, err
	}
	key := on.Key()
	proxy, err := portal.Open(portal.Config{
		Network: d.inside(), Domain: func() *pvd.Domain { return d.current.Load().ByKey(key) },
	}, d.log)
	if err != nil {
		return control.Portal{}, nil, err //nolint:wrapcheck // says what and where
	}
	serve := func(ctx context.Context) error {
		defer d.validator.Again(key) // the person may have logged in
		return proxy.Run(ctx)        //nolint:wrapcheck // says what and where
	}
	return control.Portal{PvD: on.Name, URL: portalPage(on), Proxy: proxy.Addr()}, serve, nil
}

// portalPage returns the page that a person is to open.
func portalPage(d *pvd.Domain) string {
	if d.PortalURL != "" {
		return d.PortalURL
	}
	if d.Check.URL != "" {
		return d.Check.URL
	}
	return anyPage
}

// captive returns the domain whose portal is meant.
func captive(set *pvd.Set, name string) (*pvd.Domain, error) {
	if name != "" {
		switch d, err := domainNamed(set, name); {
		case err != nil:
			return nil, err
		case d.State != pvd.Captive:
			return nil, fmt.Errorf("%s is not captive: it is %s, %s", name, d.State, d.Reason)
		default:
			return d, nil
		}
	}
	var found []*pvd.Domain
	var names []string
	for _, d := range set.All() {
		if d.State == pvd.Captive {
			found, names = append(found, d), append(names, d.Name)
		}
	}
	switch len(found) {
	case 0:
		return nil, errors.New("no domain is captive")
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("several domains are captive, say which: %s", strings.Join(names, ", "))
}
