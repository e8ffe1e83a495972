package audit

// All lists every rule, in the order of their codes. A new rule is added here.
func All() []Rule {
	return []Rule{
		podModeValue, namespaceModeValue, twoModes, injectionOverRevision, injectAnnotation, restartChangesMode,
		unknownRevision, labelOnPodsOnly, labelAsAnnotation, unknownAnnotation, pendingCapture, noHBONE,
		hostNetworkCaptured, hostNetwork,
		denyInert, denyBroadened, allowDeniesAll, allowNarrowed, customAuthz, auditAuthz, dryRunAuthz,
		requestAuthn, targetRefused, selectsWaypoint, hiddenIdentity, mtlsDisabled, strictStays, strictPortsOld,
		servicePorts, splitService, policyOutsideMesh, invalidPolicy, trustDomains, onlyAtWaypoint, waypointInUse,
		addressAtWaypoint, addressBehindWaypoint, sidecarThroughHBONE, callsDiffer, notSupposed, notCompared,
		httpRouting, faultInjection, sourceMatch, delegateRoute, clientNamespaceRoute, tcpRouting, mixedRoutes,
		trafficPolicy, subsets, clientRule, clientNamespaceRule, consistentHash, consistentHashOld, localityLB,
		zoneAwareLB, upstreamProxyProtocol, connectionBalancing, istioMutual,
		routeUnread, routesOfSidecar, clientDefaults,
		registryOnly, sidecarEgress, sidecarListener, sidecarIngress, inboundPool, exportTo, tlsOrigination,
		egressWildcard, egressWildcardOld, egressUnbound, egressProxy, otherNetworks,
		envoyFilter, rateLimit, wasmPlugin, trafficExtension, envoyFilterAtWaypoint, clientExtension,
		tracing, httpMetrics, accessLog, meshTelemetry, requestMetrics, autoscalingMetrics, mergedMetrics, sidecarAlerts,
		tuning, proxyConfig, discoveryAddress, proxyImage, injectTemplates, proxyOverrides, bootstrapOverride,
		userVolume, interceptionMode, trafficExclusion, excludeInterfaces, kubevirtInterfaces,
		kubevirtInterfacesOld, proxyEndpoint, proxylessGRPC, windowsNode, virtualNode, forwardedClientCert,
		forwardedClientCertOld, proxyConfigResource, dnsProxy,
		waypointNotReady, trafficType, attachmentDenied, labelHidesWaypoint, ingressBypass, uselessIngressLabel,
		doubleProcessing, noService, headlessStrict, waypointBypass, gracePeriod, idleWaypoint,
		noReadyWaypoint, loneWaypoint, bypassAtWaypoint,
		hiddenKind, noMeshConfig, version, notInstalled, virtualMachine, spire, primaryRemote, multiNetwork,
		overrideBelow, overrideUnknown, overrideRaises, networkPolicy, unknownFields, cni, namespaceUnknown,
		unreadableConfig, networkPolicyEgress, networkPolicyPorts, networkPolicyProbes, networkPolicyWaypoint,
		networkPolicyNotJudged,
		unjudgedPods,
	}
}
