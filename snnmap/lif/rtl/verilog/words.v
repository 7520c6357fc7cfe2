// Words that the rules of all families share.
`default_nettype none

// Clamp a signed word to fewer bits.
module lif_saturate #(parameter FROM = 18, parameter TO = 16) (  // lint_off DECLFILENAME
    input wire signed [FROM-1:0] value, output wire signed [TO-1:0] result
);
    wire fits = &value[FROM-1:TO-1] || ~|value[FROM-1:TO-1];
    assign result = fits ? value[TO-1:0] : {value[FROM-1], {(TO-1){~value[FROM-1]}}};
endmodule

// A register of a pipeline, or a wire where a rule is read as one expression.
module lif_stage #(parameter WIDTH = 1, parameter PIPELINED = 1) (
    input wire clk, hold, input wire [WIDTH-1:0] d, output wire [WIDTH-1:0] q
);
    generate
        if (PIPELINED) begin : g_register
            reg [WIDTH-1:0] kept;
            always @(posedge clk) if (!hold) kept <= d;
            assign q = kept;
        end else begin : g_wire
            assign q = d;
        end
    endgenerate
endmodule
`default_nettype wire
