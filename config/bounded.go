package config

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// What a file may hold beside its size: the YAML library takes time and memory by the
// square of the depth, and an alias of aliases by a power.
const (
	maxDepth   = 32
	maxAliases = 32
)

// tooDeep and tooMany are what is wrong with a file beyond those bounds.
const (
	tooDeep = "this is nested too deeply (no key needs more than a few levels)"
	tooMany = "these are too many aliases (write the values out)"
)

// Decode reads YAML of somebody who is not trusted into a value: nothing that is
// nested deeply, and no aliases.
func Decode(content []byte, into any) (err error) {
	defer func() {
		if recover() != nil {
			err = errYAML
		}
	}()
	if _, wrong := excess(content, 0); wrong != "" {
		return errors.New(wrong)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		return fmt.Errorf("read YAML: %w", err)
	}
	return nil
}

// excess returns the token at which content leaves the bounds and what is wrong with
// it, "" for nothing. It takes no longer than content is long.
func excess(content []byte, aliases int) (at *token.Token, wrong string) {
	depth, inLine, line := 0, 0, 0
	for _, t := range lexer.Tokenize(string(content)) {
		if t.Position != nil && t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			inLine++
		case token.AliasType:
			aliases--
		default:
		}
		switch {
		case depth > maxDepth || inLine > maxDepth:
			return t, tooDeep
		case aliases < 0:
			return t, tooMany
		}
	}
	return nil, ""
}
