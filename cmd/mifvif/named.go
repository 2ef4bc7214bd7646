package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mifvif/control"
	"mifvif/pvd"
)

// unknownDomain is the mistake of a person who names a domain that is not there:
// wrong usage, whichever command it was.
func unknownDomain(name string, there []string) error {
	all := "none"
	if len(there) > 0 {
		all = strings.Join(there, ", ")
	}
	return control.Mistake{Err: fmt.Errorf("there is no domain %q (there are: %s)", name, all)}
}

// domainNamed returns the domain of a set that a person has named.
func domainNamed(set *pvd.Set, name string) (*pvd.Domain, error) {
	if d := set.ByName(name); d != nil {
		return d, nil
	}
	var there []string
	for _, d := range set.All() {
		there = append(there, d.Name)
	}
	return nil, unknownDomain(name, there)
}

// only returns the one of the daemon's domains that a person has named.
func only(all []control.PvD, name string) ([]control.PvD, error) {
	if i := slices.IndexFunc(all, func(p control.PvD) bool { return p.Name == name }); i >= 0 {
		return all[i : i+1], nil
	}
	var there []string
	for _, p := range all {
		there = append(there, p.Name)
	}
	return nil, unknownDomain(name, there)
}

// known returns an error if a domain to list something of, "" for all, is not there.
func known(ctx context.Context, c *control.Client, name string) error {
	if name == "" {
		return nil
	}
	all, err := c.PvDs(ctx)
	if err == nil {
		_, err = only(all, name)
	}
	return err
}
