"""The classes of failures and of ends, and the words of providers that mean each: one table for rows and for views.

Words are compared as `folded`: without regard to capitals and to the signs between words. The addon (addon/classes.py)
knows more of a call than its words, and writes the class into each row. Rows from before version 7 of the schema have
none: views and sums take what `error_type` and `finish_reason` alone say, by the SQL below. No step reads this file.
"""

from functools import lru_cache
from typing import Final

OTHER: Final = "other"
"""The class of what no word is known for."""

# docs/columns.md has what each class means.
ERRORS: Final = {
    "rate_limit": """
        rate_limit rate_limited rate_limits rate_limit_error rate_limit_exceeded rate_limit_exceeded_error
        rate_limit_reached rate_limit_reached_error too_many_requests too_many_requests_error TooManyRequestsException
        Throttling ThrottlingException ThrottledException RequestLimitExceeded requests tokens
        Throttling.RateQuota Throttling.BurstRate Throttling.AllocationQuota limit_requests limit_burst_rate
        RequestBurstTooFast RateLimitReached concurrency_limit_exceeded RESOURCE_EXHAUSTED http_429
    """,
    "quota": """
        quota quota_exceeded insufficient_quota exceeded_current_quota exceeded_current_quota_error
        insufficient_user_quota insufficient_balance insufficient_credits insufficient_funds no_credits
        billing_error billing_not_active billing_disabled billing_hard_limit_reached BILLING_DISABLED payment_required
        payment_required_error Arrearage PrepaidBillOverdue PostpaidBillOverdue AccountOverdueError
        ServiceQuotaExceededException AllocationQuota.FreeTierOnly Throttling.AllocationQuota.FreeTierOnly
        usage_limit_reached usage_limit_exceeded usage_not_included budget_exceeded BudgetExceededError
        dailyLimitExceeded monthly_limit_exceeded spending_limit_reached QuotaExceeded SetLimitExceeded http_402
    """,
    "overloaded": """
        overloaded overloaded_error engine_overloaded engine_overloaded_error server_overloaded ServerOverloaded
        slow_down capacity_exceeded service_tier_capacity_exceeded model_overloaded provider_overloaded
        server_busy resource_unavailable insufficient_system_resource ModelNotReadyException no_available_provider
        ServiceUnavailableException service_unavailable service_unavailable_error ServiceUnavailableError
        temporarily_unavailable UNAVAILABLE NoCapacity ModelServingError http_503 http_529
    """,
    "context_length": """
        context_length context_length_exceeded context_length_error context_window_exceeded
        ContextWindowExceededError exceed_context_size_error model_context_window_exceeded
        model_max_prompt_tokens_exceeded prompt_too_long input_too_long input_length_exceeded
    """,
    "content_filter": """
        content_filter content_filtered content_filter_error content_policy content_policy_violation
        ContentPolicyViolationError ResponsibleAIPolicyViolation DataInspectionFailed moderation_blocked
        moderation_error content_moderation invalid_prompt sensitive_words_detected SensitiveContentDetected
        InputTextSensitiveContentDetected OutputTextSensitiveContentDetected InputImageSensitiveContentDetected
        image_content_policy_violation SAFETY IMAGE_SAFETY PROHIBITED_CONTENT guardrail_intervened guardrail_blocked
        cyber_policy cyber_policy_violation bio_policy refusal
    """,
    "auth": """
        auth auth_error authentication authentication_error AuthenticationError invalid_authentication
        invalid_authentication_error unauthenticated unauthorized unauthorized_error UnauthorizedException
        permission_error permission_denied permission_denied_error PermissionDeniedError forbidden forbidden_error
        access_denied access_denied_error AccessDeniedException AccessDenied.Unpurchased Model.AccessDenied
        Workspace.AccessDenied access_terminated_error
        invalid_api_key invalid_key InvalidApiKey API_KEY_INVALID API_KEY_SERVICE_BLOCKED API_KEY_EXPIRED
        incorrect_api_key incorrect_api_key_error missing_api_key no_api_key wrong_api_key
        SERVICE_DISABLED CONSUMER_INVALID ACCESS_TOKEN_EXPIRED ACCESS_TOKEN_TYPE_UNSUPPORTED CREDENTIALS_MISSING
        UnrecognizedClientException ExpiredTokenException ExpiredToken InvalidSignatureException
        IncompleteSignature IncompleteSignatureException InvalidClientTokenId MissingAuthenticationToken
        MissingAuthenticationTokenException SignatureDoesNotMatch OptInRequired NotAuthorized
        account_deactivated account_suspended account_disabled deactivated_workspace invalid_organization
        ip_not_authorized invalid_token token_expired unsupported_country_region_territory model_terms_required
        model_permission_blocked_org model_permission_blocked_project http_401 http_403
    """,
    "not_found": """
        not_found not_found_error NotFoundError NotFoundException ResourceNotFound ResourceNotFoundException
        resource_not_found_error model_not_found model_not_found_error ModelNotFound model_not_exist unknown_model
        model_not_available model_not_supported model_decommissioned invalid_model DeploymentNotFound unknown_url
        previous_response_not_found response_not_found conversation_not_found no_such_model http_404 http_410
    """,
    "timeout": """
        timeout timeout_error request_timeout request_timeout_error RequestTimeOut gateway_timeout
        deadline_exceeded ModelTimeoutException APITimeoutError TimeoutException upstream_timeout stream_timeout
        response_timeout vector_store_timeout http_408 http_504 http_522 http_524
    """,
    "network": "upstream_unreachable upstream_tls upstream_disconnect",
    "client_left": """
        client_disconnect client_cancelled client_closed_request cancelled canceled request_cancelled turn_detected
        http_499
    """,
    "truncated": "stream_truncated",
    "shutdown": "proxy_shutdown",
    "server_error": """
        server_error server_error_exception api_error internal internal_error internal_server_error
        InternalServerError InternalServerException InternalServerErrorException InternalFailure
        InternalError.Algo InternalError.Timeout InternalError.Upload SystemError unknown unknown_error
        ModelErrorException ModelStreamErrorException model_error upstream_error provider_error bad_gateway
        backend_error error failed engine_error processing_error tool_use_failed json_validate_failed aborted data_loss
        http_500 http_502 http_520 http_521 http_523 http_525 http_526 http_530
    """,
    "invalid_request": """
        invalid_request invalid_request_error InvalidRequestException bad_request bad_request_error BadRequestError
        BadRequestException invalid_argument invalid_parameter invalid_parameter_error InvalidParameter
        InvalidParameterValue failed_precondition out_of_range unimplemented already_exists conflict conflict_error
        ValidationException ValidationError validation_error RequestValidationError SerializationException
        unprocessable_entity unprocessable_entity_error UnprocessableEntityError unsupported_parameter
        unsupported_value unsupported_operation UnsupportedOperation UnsupportedModel invalid_value invalid_type
        invalid_json missing_required_parameter missing_parameter string_above_max_length request_too_large
        request_entity_too_large payload_too_large BadRequest.TooLarge InvalidURL method_not_allowed
        image_generation_user_error http_400 http_405 http_406 http_409 http_411 http_413 http_414 http_415 http_422
        http_424
    """,
}
FINISHES: Final = {
    "stop": """
        stop stop_sequence end_turn end eos eos_token end_of_text complete completed finish finished turnComplete
        generationComplete generated
    """,
    "length": """
        length max_tokens max_output_tokens max_length max_new_tokens model_length max_model_length token_limit
        context_length model_context_window_exceeded budget_exceeded incomplete ERROR_LIMIT
    """,
    "tool": "tool_call tool_calls tool_use function_call function_calls requires_action",
    "filter": """
        content_filter content_filtered content_filter_error refusal sensitive guardrail_intervened SAFETY RECITATION
        BLOCKLIST PROHIBITED_CONTENT PROHIBITED_INPUT_CONTENT SPII JAILBREAK MODEL_ARMOR IMAGE_SAFETY
        IMAGE_PROHIBITED_CONTENT IMAGE_PROHIBITED_INPUT_CONTENT IMAGE_RECITATION ERROR_TOXIC RESPONSE_REJECTED
        cyber_policy moderation
    """,
    "error": """
        error failed failure model_error server_error network_error timeout MALFORMED_FUNCTION_CALL MALFORMED_RESPONSE
        malformed_model_output malformed_tool_use UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE
        NO_IMAGE IMAGE_OTHER insufficient_system_resource
    """,
    "pause": "pause_turn requires_continuation NEED_MORE_INPUT in_progress queued compaction",
    "cancelled": "cancelled canceled user_cancelled client_cancelled turn_detected interrupted abort aborted",
}
_SIGNS: Final = "_-. "
_WITHOUT_SIGNS: Final = str.maketrans("", "", _SIGNS)


@lru_cache(maxsize=1024)  # providers say the same few words all day
def folded(word: str) -> str:
    """A provider's word as it is compared."""
    return word.translate(_WITHOUT_SIGNS).lower()


ERROR_OF: Final = {folded(word): name for name, words in ERRORS.items() for word in words.split()}
FINISH_OF: Final = {folded(word): name for name, words in FINISHES.items() for word in words.split()}
ERROR_CLASSES: Final = (*ERRORS, OTHER)
FINISH_CLASSES: Final = (*FINISHES, OTHER)


def of_error_type(word: str) -> str:
    """The class of what `error_type` alone says."""
    return ERROR_OF.get(folded(word), OTHER)


def _case(column: str, classes: dict[str, str]) -> str:
    """An expression in the SQL of SQLite and of PostgreSQL: the class of a column's word."""
    text = f"lower({column})"
    for sign in _SIGNS:
        text = f"replace({text}, '{sign}', '')"
    by_class: dict[str, list[str]] = {}
    for word, name in classes.items():
        by_class.setdefault(name, []).append(f"'{word}'")
    whens = "\n        ".join(f"WHEN {text} IN ({', '.join(words)}) THEN '{name}'" for name, words in by_class.items())
    return f"CASE\n        {whens}\n        ELSE '{OTHER}' END"


SQL_OF_ERROR: Final = _case("error_type", ERROR_OF)
"""The class of what `error_type` alone says."""
SQL_OF_FINISH: Final = f"CASE WHEN finish_reason IS NULL THEN NULL ELSE {_case('finish_reason', FINISH_OF)} END"
"""The class of what `finish_reason` alone says; NULL where it says nothing."""
