package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"mifvif/config"
	"mifvif/control"
	"mifvif/scheduler"
)

func rulesCommand(g *globals) *cobra.Command {
	cmd := withJSON(&cobra.Command{
		Use:   "rules",
		Short: "The rules in force by actor; add and rm change one's own",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rules, err := g.client().Rules(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, g, rules, printRules)
		},
	}, g)
	change := func(use, short, long string, ask func(cmd *cobra.Command, text string) control.RuleChange) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Long: long, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return g.client().ChangeRules(cmd.Context(), ask(cmd, args[0]))
			},
		}
	}
	cmd.AddCommand(
		change("add RULE", "Add a rule about one's own flows", "RULE is what a rule of the configuration is, such as '{name: mine, match: {port: 443}, prefer: [lte]}'.\n"+
			"It goes behind the rules that are there and holds at once.",
			func(_ *cobra.Command, text string) control.RuleChange { return control.RuleChange{Add: text} }),
		change("rm NAME", "Remove one of one's own rules", "",
			func(_ *cobra.Command, text string) control.RuleChange { return control.RuleChange{Remove: text} }),
	)
	return cmd
}

func printRules(w io.Writer, rules []control.RuleInForce) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ACTOR\tUSER\tNAME\tMATCH\tREQUIRE\tPREFER\tFORBID\tALGORITHM\tOTHERS\tPATH")
	for _, r := range rules {
		actor := r.Actor
		if r.Locked {
			actor += " (locked)"
		}
		user := "-"
		if r.User != nil {
			user = fmt.Sprint(*r.User)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", actor, user, r.Name, criteria(r.Match), orDash(r.Require...), orDash(r.Prefer...), orDash(r.Forbid...), orDash(r.Algorithm), orDash(others(r)...), orDash(r.Path))
	}
	t.Flush()
}

// rules restates the rules in force, the strongest actor's first.
func (d *daemon) rules() []control.RuleInForce {
	out := []control.RuleInForce{}
	all := slices.Clone(d.config.Load().Policy.Rules)
	slices.SortStableFunc(all, func(a, b scheduler.Rule) int { return int(a.Actor) - int(b.Actor) })
	for _, r := range all {
		c := control.RuleInForce{
			Name: r.Name, Actor: r.Actor.String(), Locked: r.Actor == scheduler.Locked,
			Match: matched(&r.Match), Algorithm: algorithmWord(r.Algorithm), Path: r.Path.String(),
			Affinity: affinityWord(r.Affinity), OnFailure: failureWord(r.OnFailure), OnRecovery: recoveryWord(r.OnRecovery), MPTCP: r.MPTCP.String(), Race: r.Race,
			Require: orEmpty(r.Require), Prefer: orEmpty(r.Prefer), Forbid: orEmpty(r.Forbid),
		}
		if r.Actor == scheduler.User && len(r.Match.Users) == 1 {
			c.User = &r.Match.Users[0]
		}
		out = append(out, c)
	}
	return out
}

// userDocument is a user's file with its rules as they are written.
type userDocument struct {
	Rules []yaml.MapSlice `yaml:"rules"`
}

// errNoRule says that there is nothing to remove.
var errNoRule = errors.New("you have no rule of that name (see: mifvif rules)")

// changedRules returns a user's file with one rule more or less.
func changedRules(content []byte, change control.RuleChange) ([]byte, error) {
	var doc userDocument
	if err := config.Decode(content, &doc); err != nil {
		return nil, fmt.Errorf("read your rules: %w", err)
	}
	if change.Add != "" {
		var rule yaml.MapSlice
		if err := config.Decode([]byte(change.Add), &rule); err != nil || len(rule) == 0 {
			return nil, fmt.Errorf("%q is no rule (such as '{name: mine, match: {port: 443}, prefer: [lte]}')", change.Add)
		}
		doc.Rules = append(doc.Rules, rule)
	} else {
		i := slices.Index(ruleNames(doc.Rules), change.Remove)
		if i < 0 {
			return nil, errNoRule
		}
		doc.Rules = slices.Delete(doc.Rules, i, i+1)
	}
	out, err := yaml.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write your rules: %w", err)
	}
	return out, nil
}

// ruleNames are what a file's rules are called, by themselves or by their place.
func ruleNames(rules []yaml.MapSlice) []string {
	var out []string
	for i, rule := range rules {
		name := config.RuleName(i)
		for _, item := range rule {
			if item.Key == "name" {
				name = fmt.Sprint(item.Value)
			}
		}
		out = append(out, name)
	}
	return out
}

// userName returns what a user's file is called.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(id)
	if err != nil || u.Username != filepath.Base(u.Username) {
		return id
	}
	return u.Username
}

// changeRules adds or removes a rule of the user who asks. The file is checked
// before it is written, and the old one stays where the new one is not taken.
func (d *daemon) changeRules(ctx context.Context, uid uint32, change control.RuleChange) error {
	path := d.path
	if path == "" {
		path = config.DefaultPath
	}
	name := userName(uid)
	file := config.UserFile(path, name)
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read your rules: %w", err)
	}
	content, err := changedRules(old, change)
	if err != nil {
		return control.Mistake{Err: err}
	}
	if _, _, err := d.config.Load().ParseUser(filepath.Base(file), name, content); err != nil {
		return control.Mistake{Err: errors.New(strings.TrimSpace(err.Error()))}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make the directory of users' rules: %w", err)
	}
	if err := os.WriteFile(file+".new", content, 0o644); err != nil {
		return fmt.Errorf("write your rules: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("write your rules: %w", err)
	}
	if err := d.reload(ctx); err != nil {
		return errors.Join(err, putBack(file, old)) // the administrator's file is at fault
	}
	return nil
}

// putBack gives a file its old content; one that had none goes.
func putBack(file string, old []byte) error {
	if old == nil {
		return os.Remove(file)
	}
	return os.WriteFile(file, old, 0o644)
}
