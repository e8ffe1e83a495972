// Command oracle makes and checks the authorization corpus.
package main

import (
	_ "istio.io/istio/pilot/test/xds"
)

func main() {}
