package doctor

// All lists the checks in the order they are shown: what stops traffic first.
func All() []Check {
	return []Check{
		waypointReady, waypointAnswers, waypointRedundant, waypointSpread, waypointDrain, waypointScaled,
		waypointSaturated, waypointBalanced, waypointSteady,
		servicesBound, policiesAttached, policiesEnforced, nobodyGoesRound, nobodyWentRound, mtlsAsWritten, plaintextShare, deniedCalls,
		failedCalls, networkPolicies, clusterNetwork, podsEnrolled, podsServed, ztunnelEverywhere, ztunnelLinked, ztunnelMemoryRoom, ztunnelCPURoom,
		labelsTakeEffect, restartKeepsMode, hboneSidecars, nativeSidecars,
		versionsAgree, releasesSound, imagesReachable, idleTimeout,
		clocksRight, clocksKept, certificatesFresh, rootFresh, proxyKilled, proxyMemoryRoom, dnsAnswers, configurationQuick,
	}
}

// Lookup finds a check by its ID.
func Lookup(id string) (Check, bool) {
	for _, c := range All() {
		if c.ID == id {
			return c, true
		}
	}
	return Check{}, false
}
