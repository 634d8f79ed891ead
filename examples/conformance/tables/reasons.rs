//! Why tables are not run.

/// Functions of Istio that have nothing like them here.
const REASONS: [(&str, &[(&str, &str)]); 12] = [
    (
        "the row's resources are in the code of the test",
        &[
            ("push_context_test.go", "TestSetDestinationRuleWithExportTo"),
            ("push_context_test.go", "TestVirtualServiceWithExportTo"),
            ("push_context_test.go", "TestServiceWithExportTo"),
            (
                "networkfilter_test.go",
                "TestOutboundNetworkFilterWithSourceIPHashing",
            ),
            (
                "cluster_test.go",
                "TestBuildSidecarClustersWithMeshWideTCPKeepalive",
            ),
            (
                "cluster_test.go",
                "TestBuildClustersWithMutualTlsAndNodeMetadataCertfileOverrides",
            ),
            ("listener_test.go", "TestOutboundListenerTCPWithVS"),
            (
                "listener_test.go",
                "TestOutboundListenerTCPWithVSExactBalance",
            ),
            ("sidecar_test.go", "TestSidecarScopeAuthnPolicies"),
            ("eds_test.go", "TestEDSUnhealthyEndpoints"),
            ("rds_test.go", "TestRDS"),
            ("lds_test.go", "TestLDSEnvoyFilterWithWorkloadSelector"),
            ("mesh_network_test.go", "TestNetworkGatewayUpdates"),
            (
                "waypoint_test.go",
                "TestIngressGatewayListenersAndClustersMultiNetwork",
            ),
            ("telemetry_logging_test.go", "TestAccessLoggingCache"),
        ],
    ),
    (
        "a helper for Go, which says nothing about a mesh",
        &[
            ("camelcase_test.go", "TestCamelCase"),
            ("camelcase_test.go", "TestCamelCaseToKebabCase"),
            ("slices_test.go", "TestFilterDuplicates"),
            ("slices_test.go", "TestSort"),
            ("slices_test.go", "TestReverse"),
            ("slices_test.go", "TestClone"),
            ("ip_test.go", "TestIPsSplitV4V6"),
            ("ip_test.go", "TestIsRequestFromLocalhost"),
            ("util_test.go", "TestByteCount"),
            ("util_test.go", "TestDomainName"),
            ("template_test.go", "TestOmitNil"),
            ("model_test.go", "TestToJSON"),
            ("model_test.go", "TestApplyJSON"),
            ("san_test.go", "TestExtractSANExtension"),
        ],
    ),
    (
        "what istiod writes for an Envoy, in Envoy's own types",
        &[
            (
                "tracing_test.go",
                "TestZipkinConfigTimeoutHeadersVersionGating",
            ),
            ("tracing_test.go", "TestConfigureDynatraceSampler"),
            (
                "networkfilter_test.go",
                "TestBuildAllowAnyDynamicDNSDNSCacheConfig",
            ),
            (
                "networkfilter_test.go",
                "TestInboundNetworkFilterStatPrefix",
            ),
            ("listener_builder_test.go", "TestHCMInternalAddressConfig"),
            (
                "listener_builder_test.go",
                "TestUseRemoteAddressInternalAddressConfig",
            ),
            ("listener_dfp_test.go", "TestSidecarDynamicDNSFilters"),
            ("listener_test.go", "TestBuildListener_FactoryKey"),
            ("cluster_test.go", "TestApplyOutlierDetectionErrorCodes"),
            ("util_test.go", "TestGetEndpointHost"),
        ],
    ),
    (
        "the debugging interface of istiod",
        &[
            ("debug_test.go", "TestDebugAuthorization"),
            ("debug_test.go", "TestConfigDump"),
            ("debug_test.go", "TestDebugProxyNamespaceRestriction"),
            ("client_test.go", "Test_findIstiodMonitoringPort"),
        ],
    ),
    (
        "agentgateway's names among istiod's clients",
        &[
            ("krtxds_test.go", "TestGetGatewayNameForProxy"),
            ("krtxds_test.go", "TestGenerateDeltas_RoleNamespace"),
            (
                "gateway_test.go",
                "TestBackendProtocolToServiceEntryProtocol",
            ),
        ],
    ),
    (
        "the metadata of an Envoy that Istio's agent starts",
        &[
            ("proxy_test.go", "TestStringList"),
            ("proxy_test.go", "TestPodPortList"),
            ("proxy_view_test.go", "TestProxyView"),
        ],
    ),
    (
        "EnvoyFilters patch Envoy's configuration, of which there is none here",
        &[
            ("envoyfilter_test.go", "TestKeysApplyingTo"),
            ("envoyfilter_test.go", "TestEnvoyFilterMatch"),
        ],
    ),
    (
        "nothing here reads what injection has noted about itself but injection",
        &[("webhook_test.go", "TestParseStatus")],
    ),
    (
        "names that only the issuer of certificates makes",
        &[
            ("dual_use_test.go", "TestDualUseCommonName"),
            ("generate_csr_test.go", "TestGenCSR"),
        ],
    ),
    (
        "a step within a decision that other cases ask for whole",
        &[
            ("policy_applier_test.go", "TestBuildSpaceDelimitedClaims"),
            ("oidc_test.go", "TestCheckAudience"),
            ("oidc_test.go", "TestNewJwtAuthenticator"),
            ("node_auth_test.go", "TestSingleClusterNodeAuthorization"),
            ("destination_rule_test.go", "TestConsolidatedDestRuleEquals"),
            ("mesh_test.go", "TestDeepMerge"),
            ("telemetry_test.go", "TestTracing"),
        ],
    ),
    (
        "HTTP/3 is not served",
        &[("gateway_test.go", "TestIsEligibleForHTTP3Upgrade")],
    ),
    (
        "the files of the test are not in the corpus",
        &[
            ("generate_cert_test.go", "TestAppendRootCerts"),
            (
                "keycertbundle_test.go",
                "TestNewVerifiedKeyCertBundleFromFileWithCrl",
            ),
            ("secretcache_test.go", "TestSomeInvalidCerts"),
            ("svid_test.go", "TestMarshal"),
        ],
    ),
];

/// Why the rows of a test are not run, if anybody has looked.
pub(super) fn why(file: &str, test: &str) -> Option<&'static str> {
    let mut reasons = REASONS.into_iter();
    let (why, _) = reasons.find(|(_, tests)| tests.contains(&(file, test)))?;
    Some(why)
}
