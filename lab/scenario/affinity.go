package scenario

import (
	"context"
	"fmt"
	"strings"

	"mifvif/lab"
)

// affinityChecks show whose flows are kept together.
func affinityChecks() []Scenario {
	return []Scenario{
		{ID: "affinity", Title: "the flows of one user to one place stay together, those of many users share the networks", Run: byUser},
	}
}

// users is how many look for one destination; with fair networks half a million
// runs pass before they are all on one.
const users = 20

func byUser(ctx context.Context, e *Env) error {
	// In a control group of its own all of this is one app.
	group, err := e.Tool(ctx, "cat", "/proc/self/cgroup")
	if err != nil {
		return err
	}
	own := ""
	for line := range strings.Lines(group) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/"); ok {
			own = path
		}
	}
	seen := make(map[string]int)
	for uid := range users {
		first, err := e.as(ctx, 5000+uid, public4(lab.PortEcho))
		if err != nil {
			return err
		}
		for range 2 {
			if err := e.carriedAs(ctx, 5000+uid, first, public4(lab.PortEcho)); err != nil {
				return err
			}
		}
		seen[first]++
	}
	if (own == "") != (len(seen) == 2) {
		return fmt.Errorf("%d users of group %q were carried by %v", users, "/"+own, seen)
	}
	return nil
}
