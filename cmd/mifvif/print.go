package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// show prints a document, in words unless JSON is asked for.
func show[T any](cmd *cobra.Command, g *globals, document T, inWords func(io.Writer, T)) error {
	if g.json {
		return printJSON(cmd.OutOrStdout(), document)
	}
	var text bytes.Buffer
	inWords(forEyes{&text}, document)
	return say(cmd, text.String())
}

// say prints an answer, all of which has come through where there is no error.
func say(cmd *cobra.Command, text string) error {
	if _, err := io.WriteString(cmd.OutOrStdout(), text); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// forEyes writes lines for a person. Names of processes, domains and hosts are what
// others made them, so nothing passes that a terminal would obey.
type forEyes struct{ io.Writer }

// Write implements io.Writer.
func (w forEyes) Write(p []byte) (int, error) {
	lines := strings.Split(string(p), "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	if _, err := io.WriteString(w.Writer, strings.Join(lines, "\n")); err != nil {
		return 0, fmt.Errorf("write the answer: %w", err)
	}
	return len(p), nil
}

// visible returns s with a question mark for everything in it that is not plainly
// seen: control characters and line ends, marks that turn or join what stands
// beside them, and what is no UTF-8.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.Variation_Selector, r) {
			return '?'
		}
		return r
	}, s)
}

// printJSON writes one document.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // arrows in sentences are for people
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// amount writes bytes for people.
func amount(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, suffix := float64(n)/unit, 0
	for f >= unit && suffix < 4 {
		f, suffix = f/unit, suffix+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[suffix])
}

// rate writes bits per second for people.
func rate(n uint64) string {
	f, unit := float64(n), 0
	for f >= 999.5 && unit < 3 { // else it would be 1e+03
		f, unit = f/1000, unit+1
	}
	return fmt.Sprintf("%.3g %sbit/s", f, []string{"", "k", "M", "G"}[unit])
}

// age writes how long ago t was.
func age(t time.Time) string { return time.Since(t).Round(time.Second).String() }

// orDash writes a list, or a dash for an empty one.
func orDash(list ...string) string {
	var kept []string
	for _, s := range list {
		if s != "" {
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		return "-"
	}
	return strings.Join(kept, " ")
}
