package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mifvif/lab/scenario"
)

// completeWithin bounds how long a shell waits for the daemon's domains.
const completeWithin = time.Second

// completed makes the shells' completion know what there is: domains, scenarios,
// nodes and the words of flags.
func completed(root *cobra.Command, g *globals) {
	domains := func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return g.domainNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	}
	find := func(path ...string) *cobra.Command {
		c, _, err := root.Find(path)
		if err != nil {
			return &cobra.Command{}
		}
		return c
	}
	for _, name := range []string{"pvds", "drain", "undrain", "portal"} {
		find(name).ValidArgsFunction = domains
	}
	for _, name := range []string{"exec", "flows", "resolve"} {
		_ = find(name).RegisterFlagCompletionFunc("pvd", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return g.domainNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		})
	}
	for _, name := range []string{"run", "score"} {
		find("lab", name).ValidArgsFunction = scenarios
	}
	find("rules", "rm").ValidArgsFunction = func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return g.ownRules(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	}
	find("lab", "shell").ValidArgs = []string{"h", "core", "n1", "n2", "vpn"}
	for _, w := range []struct {
		flag  string
		words []string
		path  []string
	}{
		{"system", []string{scenario.Mifvif, scenario.Kernel}, []string{"lab", "run"}},
		{"proto", []string{"tcp", "udp", "icmp"}, []string{"explain"}},
		{"type", []string{"A", "AAAA", "PTR", "MX", "TXT", "SRV", "HTTPS"}, []string{"resolve"}},
		{"log-level", []string{"debug", "info", "warn", "error"}, []string{"run"}},
	} {
		_ = find(w.path...).RegisterFlagCompletionFunc(w.flag, cobra.FixedCompletions(w.words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// domainNames asks the daemon; none where it does not answer.
func (g *globals) domainNames(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	all, err := g.client().PvDs(ctx)
	if err != nil {
		return nil
	}
	var out []string
	for _, p := range all {
		out = append(out, p.Name+"\t"+p.State+" on "+p.Interface)
	}
	return out
}

// ownRules asks the daemon for the rules that the shell's user may remove; none
// where it does not answer.
func (g *globals) ownRules(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	all, err := g.client().Rules(ctx)
	if err != nil {
		return nil
	}
	var out []string
	for _, r := range all {
		if r.User != nil && int64(*r.User) == int64(os.Getuid()) {
			out = append(out, r.Name)
		}
	}
	return out
}

// scenarios are the rows that can be played, with their titles.
func scenarios(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, s := range scenario.All() {
		out = append(out, s.ID+"\t"+s.Title)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
