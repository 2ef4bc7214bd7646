// Package config turns the YAML file into typed, validated values.
//
// It receives bytes and hands on a Config in the types of the packages that use
// it; nothing behind it parses a string again. Everything a person can get wrong
// is found here and said with its place: `FILE:LINE:COL: what is wrong (what is
// allowed)`. It must not know how anything is done.
package config
