package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a configuration file.
const (
	maxSize     = 1 << 20
	maxProblems = 20
	maxShown    = 400 // bytes of a line that is shown
)

// Load reads and validates the file at path. What is wrong with its content is
// an *Error.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, b)
}

// Parse validates the content of a file; name is used in errors only.
func Parse(name string, content []byte) (*Config, error) {
	r := &reader{file: name, lines: strings.Split(string(content), "\n")}
	if len(content) > maxSize {
		r.add(1, 1, "the file is larger than 1 MiB (split nothing: such a policy has rules that no one can read)")
		return nil, r.err()
	}
	var in raw
	if !r.decode(content, &in) {
		return nil, r.err()
	}
	cfg := Default()
	r.interfaces(cfg, in.Interface)
	r.dns(cfg, in.DNS)
	r.router(cfg, in.Router, in.Discovery)
	r.pvds(cfg, in.PvDs)
	r.defaults(cfg, in.Defaults)
	r.rules(cfg, in.Rules)
	r.control(cfg, in.Control)
	r.limits(cfg, in.Limits)
	r.reachable(cfg)
	cfg.Warnings, cfg.Unused = r.warnings, r.unused
	if err := r.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// errYAML says that the YAML library fell over the content, as it does over
// some that nobody writes on purpose.
var errYAML = errors.New("this is no YAML that mifvif understands (mappings, lists and plain words)")

// decode has the YAML library read content, whatever is in it.
func decode(content []byte, in any) (tree *ast.File, err error) {
	defer func() {
		if recover() != nil {
			err = errYAML
		}
	}()
	if at, wrong := excess(content, maxAliases); wrong != "" {
		return nil, &misplaced{at, wrong}
	}
	if tree, err = parser.ParseBytes(content, 0); err != nil {
		return nil, err //nolint:wrapcheck // its place and message are taken apart later
	}
	if at := second(tree); at != nil {
		return tree, &misplaced{at, "there is a second document in the file, which nobody reads (one document)"}
	}
	return tree, yaml.NewDecoder(strings.NewReader(string(content)), yaml.Strict()).Decode(in)
}

// misplaced is something wrong at a token.
type misplaced struct {
	at    *token.Token
	wrong string
}

// Error implements error.
func (m *misplaced) Error() string { return m.wrong }

// second returns the beginning of a file's second document, nil if there is none.
func second(tree *ast.File) *token.Token {
	seen := false
	for _, d := range tree.Docs {
		if d.Body == nil || d.Body.Type() == ast.CommentType {
			continue
		}
		if seen {
			return d.Body.GetToken()
		}
		seen = true
	}
	return nil
}

// decode reads content and reports whether it is what in can hold.
func (r *reader) decode(content []byte, in any) bool {
	tree, err := decode(content, in)
	r.tree, r.shape = tree, reflect.TypeOf(in).Elem()
	if err != nil && !errors.Is(err, io.EOF) {
		r.syntax(err)
		return false
	}
	r.numbers()
	return true
}

// place has the YAML library look for the value at a path; without success it is
// the beginning of the file.
func place(tree *ast.File, path string) (line, col int) {
	line, col = 1, 1
	defer func() { _ = recover() }() // as in decode
	if p, err := yaml.PathString(path); err == nil && tree != nil {
		if node, err := p.FilterFile(tree); err == nil && node != nil && node.GetToken() != nil {
			line, col = node.GetToken().Position.Line, node.GetToken().Position.Column
		}
	}
	return line, col
}

// reader gathers problems with their places.
type reader struct {
	file     string
	lines    []string
	tree     *ast.File
	shape    reflect.Type // of the whole file
	problems []Problem
	warnings []Problem // what is valid and should be known
	unused   []Problem // keys that are valid and do nothing
}

// err returns what was found, nil if nothing was.
func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return &Error{Problems: r.problems}
}

// add notes a problem at a line and column, both from 1.
func (r *reader) add(line, col int, message string) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, r.problem(line, col, message))
	}
}

// problem restates what is wrong at a place.
func (r *reader) problem(line, col int, message string) Problem {
	p := Problem{File: r.file, Line: line, Col: col, Message: message}
	if line >= 1 && line <= len(r.lines) && len(r.lines[line-1]) <= maxShown {
		p.Source = strings.TrimRight(r.lines[line-1], "\r")
	}
	return p
}

// warn notes something that is valid about the value at a path.
func (r *reader) warn(path, format string, args ...any) {
	if len(r.warnings) < maxProblems {
		line, col := place(r.tree, path)
		r.warnings = append(r.warnings, r.problem(line, col, fmt.Sprintf(format, args...)))
	}
}

// futile notes that the value at a path is valid and does nothing.
func (r *reader) futile(path, format string, args ...any) {
	if len(r.unused) < maxProblems {
		line, col := place(r.tree, path)
		r.unused = append(r.unused, r.problem(line, col, fmt.Sprintf(format, args...)))
	}
}

// at notes a problem with the value at a path such as "$.rules[0].match.port".
func (r *reader) at(path, format string, args ...any) {
	line, col := place(r.tree, path)
	r.add(line, col, fmt.Sprintf(format, args...))
}

// syntax notes what the YAML library found.
func (r *reader) syntax(err error) {
	line, col := 1, 1
	message := err.Error()
	if ye, ok := errors.AsType[yaml.Error](err); ok {
		message = ye.GetMessage()
		if t := ye.GetToken(); t != nil && t.Position != nil {
			line, col = t.Position.Line, t.Position.Column
		}
	}
	if m, ok := errors.AsType[*misplaced](err); ok && m.at != nil && m.at.Position != nil {
		line, col = m.at.Position.Line, m.at.Position.Column
	}
	if m, ok := r.misfit(err); ok {
		message = m
	}
	r.add(line, col, strings.ReplaceAll(strings.TrimSpace(message), "\n", " "))
}

// write renders one problem: its place, what is wrong, and the line.
func (p Problem) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s:%d:%d: %s\n", p.File, p.Line, p.Col, p.Message)
	if p.Source != "" {
		fmt.Fprintf(b, "    %s\n    %s^\n", p.Source, strings.Repeat(" ", max(p.Col-1, 0)))
	}
}
