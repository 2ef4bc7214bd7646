package main

import (
	"reflect"

	"mifvif/config"
)

// sameFixed reports whether two configurations agree in what is made once at
// the start.
func sameFixed(a, b *config.Config) bool {
	return reflect.DeepEqual(a.Interface.Addresses, b.Interface.Addresses) && a.Interface.Name == b.Interface.Name &&
		a.Interface.MTU == b.Interface.MTU && reflect.DeepEqual(a.DNS, b.DNS) &&
		a.Control == b.Control && a.CA == b.CA && a.Limits == b.Limits && reflect.DeepEqual(a.LANs, b.LANs)
}
