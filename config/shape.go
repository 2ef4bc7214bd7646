package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// misfit restates an error of the YAML library about what a value is, which is
// said in Go's words, in those of the file; false leaves it as it is.
func (r *reader) misfit(err error) (message string, ok bool) {
	var typed *yaml.TypeError
	var node *yaml.UnexpectedNodeTypeError
	var field *yaml.UnknownFieldError
	var big *yaml.OverflowError
	switch {
	case errors.As(err, &field):
		return r.unknownKey(field.Token)
	case errors.As(err, &big):
		return r.wrongType(big.Token, big.DstType)
	case errors.As(err, &typed):
		return r.wrongType(typed.Token, typed.DstType)
	case errors.As(err, &node):
		return r.wrongType(node.Token, nil)
	}
	return "", false
}

// unknownKey names the keys that are allowed where an unknown one stands. Where an
// alias put it is not known.
func (r *reader) unknownKey(t *token.Token) (string, bool) {
	path := pathAt(r.tree, t)
	parent := path[:max(strings.LastIndexByte(path, '.'), 0)]
	allowed, hint := keysOf(r.typeAt(parent)), ""
	if slices.Contains(allowed, t.Value) {
		return fmt.Sprintf("unknown key %q where an alias puts it (see: mifvif check --print-defaults)", t.Value), true
	}
	if hint = meant(t.Value, allowed); hint == "" && slices.Contains(allKeys(reflect.TypeFor[raw]()), t.Value) {
		hint = " here: it belongs to another part of the configuration"
	}
	return fmt.Sprintf("unknown key %q%s (%s)", t.Value, hint, strings.Join(allowed, ", ")), true
}

// wrongType says what is wanted in place of the value at t: want, or what its
// place in the file wants.
func (r *reader) wrongType(t *token.Token, want reflect.Type) (string, bool) {
	path := pathAt(r.tree, t)
	if at := r.typeAt(path); at != nil {
		want = at
	}
	if want == nil {
		return "", false
	}
	key := path[strings.LastIndexByte(path, '.')+1:]
	if key == "$" {
		return fmt.Sprintf("this is no configuration (keys: %s)", strings.Join(keysOf(want), ", ")), true
	}
	return fmt.Sprintf("%s cannot be %s (%s)", key, shown(t), wanted(want, t)), true
}

// shown is a value as a message shows it.
func shown(t *token.Token) string {
	switch t.Value {
	case "{", ":":
		return "a mapping"
	case "[", "-":
		return "a list"
	}
	return fmt.Sprintf("%q", t.Value)
}

// wanted says what a type of the file takes; t is what stands there instead.
func wanted(want reflect.Type, t *token.Token) string {
	switch want.Kind() {
	case reflect.Pointer:
		return wanted(want.Elem(), t)
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.String:
		return "one word"
	case reflect.Slice:
		if of := keysOf(want.Elem()); len(of) > 0 {
			return "a list, each entry of it with keys: " + strings.Join(of, ", ")
		}
		if strings.HasPrefix(shown(t), "a ") {
			return "a list of words"
		}
		return "a list, such as [" + t.Value + "]"
	}
	return "keys: " + strings.Join(keysOf(want), ", ")
}

// typeAt follows a path such as $.rules[0].match through the types of the file;
// nil where it leads nowhere.
func (r *reader) typeAt(path string) reflect.Type {
	at := r.shape
	for _, part := range strings.Split(path, ".")[1:] {
		name, index, _ := strings.Cut(part, "[")
		if at = bare(at); at.Kind() != reflect.Struct {
			return nil
		}
		i := slices.Index(keysOf(at), name)
		if i < 0 {
			return nil
		}
		if at = at.Field(i).Type; index != "" && bare(at).Kind() == reflect.Slice {
			at = bare(at).Elem()
		}
	}
	return at
}

// bare is a type without its pointer.
func bare(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// keysOf are the keys of a part of the file, in the order of its fields.
func keysOf(t reflect.Type) []string {
	if t == nil || bare(t).Kind() != reflect.Struct {
		return nil
	}
	var out []string
	for f := range bare(t).Fields() {
		out = append(out, f.Tag.Get("yaml"))
	}
	return out
}

// allKeys are the keys of a part and of all parts below it.
func allKeys(t reflect.Type) []string {
	out := keysOf(t)
	if len(out) == 0 {
		return nil
	}
	for f := range bare(t).Fields() {
		below := bare(f.Type)
		if below.Kind() == reflect.Slice {
			below = below.Elem()
		}
		out = append(out, allKeys(below)...)
	}
	return out
}

// pathAt finds the path of what stands where t does; "$" without success.
func pathAt(tree *ast.File, t *token.Token) string {
	v := &finder{at: t.Position.Offset, path: "$"}
	if tree != nil {
		for _, doc := range tree.Docs {
			if doc.Body != nil {
				ast.Walk(v, doc.Body)
			}
		}
	}
	return v.path
}

// finder is an ast.Visitor that keeps the path of the innermost node at a place.
type finder struct {
	at   int
	path string
}

// Visit implements ast.Visitor.
func (f *finder) Visit(n ast.Node) ast.Visitor {
	if t := n.GetToken(); t != nil && t.Position != nil && t.Position.Offset == f.at && len(n.GetPath()) >= len(f.path) {
		f.path = n.GetPath()
	}
	return f
}

// numbers finds what the YAML library takes for a number all the same: 1.5 for a
// whole one, and text in quotes.
func (r *reader) numbers() {
	if r.tree == nil {
		return
	}
	for _, doc := range r.tree.Docs {
		if doc.Body != nil {
			ast.Walk(counter{r}, doc.Body)
		}
	}
}

// counter is an ast.Visitor that notes values that are not the number their key wants.
type counter struct{ *reader }

// Visit implements ast.Visitor.
func (c counter) Visit(n ast.Node) ast.Visitor {
	pair, ok := n.(*ast.MappingValueNode)
	if !ok || pair.Value == nil || len(c.problems) == maxProblems {
		return c
	}
	switch v := pair.Value.(type) {
	case *ast.FloatNode:
		c.number(v, reflect.Int)
	case *ast.StringNode:
		if _, err := strconv.ParseFloat(v.Value, 64); err == nil {
			c.number(v, reflect.Int, reflect.Float64)
		}
	}
	return c
}

// number notes a value that stands where one of those kinds is wanted.
func (c counter) number(n ast.Node, kinds ...reflect.Kind) {
	want := c.typeAt(n.GetPath())
	if want == nil || !slices.Contains(kinds, bare(want).Kind()) {
		return
	}
	if message, ok := c.wrongType(n.GetToken(), want); ok {
		c.add(n.GetToken().Position.Line, n.GetToken().Position.Column, message)
	}
}
